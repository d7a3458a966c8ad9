// Launch templates over a memory store: what a group that follows $Latest or $Default launches, at any moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/templates.h"
#include "api/test_support.h"

namespace escala::api {
namespace {

using testing::HasSubstr;

class Templates : public ApiOverMemory {
 protected:
  Templates() {
    EXPECT_THAT(
        call("CreateLaunchTemplate", R"({"LaunchTemplateName":"web","LaunchTemplateData":)" + script("1") + "}"),
        HasSubstr(R"("LatestVersionNumber":1)"));
  }
  // A script with this comment in it.
  static std::string script(const std::string& mark) {
    return R"({"UserData":")" + std::string(mark == "1" ? "IyEvYmluL3NoCiMgMQo=" : "IyEvYmluL3NoCiMgMgo=") + R"("})";
  }
  std::string add_version(const std::string& data) {
    return call("CreateLaunchTemplateVersion", R"({"LaunchTemplateName":"web","LaunchTemplateData":)" + data + "}");
  }
  std::string create(const std::string& group, const std::string& version) {
    return call("CreateAutoScalingGroup",
                R"({"AutoScalingGroupName":")" + group +
                    R"(","MinSize":0,"MaxSize":4,"LaunchTemplate":{"LaunchTemplateName":"web","Version":")" + version +
                    R"("}})");
  }
  Group group(const std::string& name) { return std::get<0>(load_group(context_, GroupName(name))).group; }
  int launches(const std::string& name) { return template_of(group(name).spec.id).value_or(TemplateRef{}).version; }
  std::string told(const std::string& name) {
    const std::string answer = call("DescribeAutoScalingGroups", R"({"AutoScalingGroupNames":[")" + name + R"("]})");
    const size_t at = answer.find(R"("Version":")");
    return at == std::string::npos ? "" : answer.substr(at + 11, answer.find('"', at + 11) - at - 11);
  }
};

TEST(TemplateOf, TellsVersionsFromNamesOfConfigurations) {
  const auto ref = template_of(LaunchSpecId("lt-0123456789abcdef0:a/b.c(d)-e_f:12"));
  ASSERT_TRUE(ref);
  EXPECT_EQ(ref->id, "lt-0123456789abcdef0");
  EXPECT_EQ(ref->name, "a/b.c(d)-e_f");
  EXPECT_EQ(ref->version, 12);
  EXPECT_EQ(spec_id(*ref), LaunchSpecId("lt-0123456789abcdef0:a/b.c(d)-e_f:12"));
  for (const char* other : {"web", "lt-1:web", "lt-1:web:", "lt-1:web:x", "lt-1:web:0", ""})
    EXPECT_FALSE(template_of(LaunchSpecId(other))) << other;
}

TEST_F(Templates, GroupsFollowInTheSameCommit) {
  EXPECT_EQ(create("latest", "$Latest"), "{}");
  EXPECT_EQ(create("standard", "$Default"), "{}");
  EXPECT_EQ(create("fixed", "1"), "{}");
  const Revision before = store_.revision();
  EXPECT_THAT(add_version(script("2")), HasSubstr(R"("VersionNumber":2)"));
  EXPECT_EQ(store_.revision(), before + 1);
  EXPECT_EQ(launches("latest"), 2);
  EXPECT_EQ(launches("standard"), 1);
  EXPECT_EQ(launches("fixed"), 1);
  EXPECT_THAT(call("ModifyLaunchTemplate", R"({"LaunchTemplateName":"web","DefaultVersion":"2"})"),
              HasSubstr(R"("DefaultVersionNumber":2)"));
  EXPECT_EQ(launches("standard"), 2);
  EXPECT_EQ(launches("fixed"), 1);
  EXPECT_EQ(told("latest"), "$Latest");
  EXPECT_EQ(told("standard"), "$Default");
  EXPECT_EQ(told("fixed"), "1");
  // Nobody is made to follow where nothing can be launched; the version is not made either.
  EXPECT_THAT(add_version(R"({"KeyName":"ops"})"), HasSubstr("AutoScalingGroup latest follows $Latest"));
  EXPECT_THAT(call("DescribeLaunchTemplates", "{}"), HasSubstr(R"("LatestVersionNumber":2)"));
  // A configuration of its own ends it.
  (void)call("CreateLaunchConfiguration", R"({"LaunchConfigurationName":"lc","Process":{"Command":["sleep"]}})");
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"latest","LaunchConfigurationName":"lc"})"),
            "{}");
  EXPECT_THAT(add_version(script("1")), HasSubstr(R"("VersionNumber":3)"));
  EXPECT_EQ(group("latest").spec.id, LaunchSpecId("lc"));
}

TEST_F(Templates, TheWayBackOfARefreshFollowsToo) {
  EXPECT_EQ(create("web", "$Latest"), "{}");
  EXPECT_THAT(add_version(script("2")), HasSubstr(R"("VersionNumber":2)"));
  const std::string refresh =
      R"({"AutoScalingGroupName":"web","DesiredConfiguration":{"LaunchTemplate":{"LaunchTemplateName":"web","Version":")";
  EXPECT_THAT(call("StartInstanceRefresh", refresh + R"($Default"}},"Preferences":{"AutoRollback":true}})"),
              HasSubstr("neither $Latest nor $Default"));
  EXPECT_THAT(call("StartInstanceRefresh", refresh + R"(1"}}})"), HasSubstr("InstanceRefreshId"));
  EXPECT_EQ(launches("web"), 1);
  EXPECT_EQ(told("web"), "$Latest");  // what is tried out is not the group's yet
  EXPECT_THAT(call("UpdateAutoScalingGroup",
                   R"({"AutoScalingGroupName":"web","LaunchTemplate":{"LaunchTemplateName":"web","Version":"2"}})"),
              HasSubstr("active instance refresh"));
  EXPECT_THAT(add_version(script("1")), HasSubstr(R"("VersionNumber":3)"));
  EXPECT_EQ(launches("web"), 1);
  EXPECT_EQ(template_of(group("web").refresh->previous->id)->version, 3);
  // As the engine does when it is rolled back.
  LoadedGroup loaded = std::get<0>(load_group(context_, GroupName("web")));
  loaded.group.spec = *loaded.group.refresh->previous;
  loaded.group.refresh.reset();
  Batch batch;
  put(batch, loaded);
  ASSERT_TRUE(store_.commit(batch).ok());
  EXPECT_EQ(told("web"), "$Latest");
  EXPECT_THAT(add_version(script("2")), HasSubstr(R"("VersionNumber":4)"));
  EXPECT_EQ(launches("web"), 4);
}

TEST_F(Templates, AMixedPolicyGoesWithItsTemplate) {
  EXPECT_THAT(add_version(R"({"ImageId":"ami-1","InstanceType":"t3.micro"})"), HasSubstr(R"("VersionNumber":2)"));
  const std::string group_of =
      R"({"AutoScalingGroupName":"web","MinSize":0,"MaxSize":4,"MixedInstancesPolicy":{"LaunchTemplate":{)"
      R"("LaunchTemplateSpecification":{"LaunchTemplateName":"web","Version":"$Latest"},"Overrides":)";
  EXPECT_THAT(call("CreateAutoScalingGroup", R"({"AutoScalingGroupName":"web","MinSize":0,"MaxSize":4,)"
                                             R"("MixedInstancesPolicy":{"InstancesDistribution":{}}})"),
              HasSubstr("LaunchTemplateSpecification is missing"));
  EXPECT_EQ(call("CreateAutoScalingGroup",
                 group_of + R"([{"InstanceType":"m5.large"},{"InstanceType":"c5.large"}]},"InstancesDistribution":)"
                            R"({"OnDemandBaseCapacity":1,"OnDemandPercentageAboveBaseCapacity":25}}})"),
            "{}");
  const auto spec = [&] {
    const std::string key = keys::spec(group("web").spec.id);
    return parse<state::LaunchSpec>(key, store_.get(key).value()->value).value().ec2();
  };
  EXPECT_EQ(launches("web"), 2);
  EXPECT_EQ(spec().override_types_size(), 2);
  EXPECT_EQ(spec().on_demand_percent(), 25);
  const std::string answer = call("DescribeAutoScalingGroups", "{}");
  EXPECT_THAT(answer, testing::AllOf(HasSubstr(R"("MixedInstancesPolicy":{"LaunchTemplate":{)"),
                                     HasSubstr(R"("Version":"$Latest")"), HasSubstr(R"("InstanceType":"c5.large")")));
  // A part that is given changes, the others stay; so do types and shares when the template moves on.
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","MixedInstancesPolicy":)"
                                           R"({"InstancesDistribution":{"OnDemandPercentageAboveBaseCapacity":50}}})"),
            "{}");
  EXPECT_EQ(spec().override_types_size(), 2);
  EXPECT_EQ(spec().on_demand_base(), 1);
  EXPECT_EQ(spec().on_demand_percent(), 50);
  EXPECT_THAT(add_version(R"({"ImageId":"ami-2","InstanceType":"t3.micro"})"), HasSubstr(R"("VersionNumber":3)"));
  EXPECT_EQ(launches("web"), 3);
  EXPECT_EQ(spec().override_types_size(), 2);
  EXPECT_EQ(spec().on_demand_percent(), 50);
  // What nobody launches any more goes, whatever policies it was launched with.
  EXPECT_THAT(call("DeleteLaunchTemplateVersions", R"({"LaunchTemplateName":"web","Versions":["2","3"]})"),
              testing::AllOf(HasSubstr("AutoScalingGroup web launches it"), HasSubstr("SuccessfullyDeleted")));
  const auto left = store_.scan(keys::kSpecs);
  for (const Record& record : left.value())
    EXPECT_NE(template_of(LaunchSpecId(parse<state::LaunchSpec>(record.key, record.value).value().id()))->version, 2);
  EXPECT_EQ(call("UpdateAutoScalingGroup",
                 R"({"AutoScalingGroupName":"web","LaunchTemplate":{"LaunchTemplateName":"web","Version":"1"}})"),
            "{}");
  EXPECT_EQ(launches("web"), 1);
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), testing::Not(HasSubstr("MixedInstancesPolicy")));
}

TEST_F(Templates, WeightsOfTypes) {
  EXPECT_THAT(add_version(R"({"ImageId":"ami-1","InstanceType":"t3.micro"})"), HasSubstr(R"("VersionNumber":2)"));
  const auto create_with = [&](const std::string& overrides) {
    return call("CreateAutoScalingGroup",
                fmt::format(R"({{"AutoScalingGroupName":"web","MinSize":0,"MaxSize":20,"MixedInstancesPolicy":{{)"
                            R"("LaunchTemplate":{{"LaunchTemplateSpecification":{{"LaunchTemplateName":"web",)"
                            R"("Version":"$Latest"}},"Overrides":[{}]}}}}}})",
                            overrides));
  };
  const auto type = [](const char* name, const char* weight) {
    return fmt::format(R"({{"InstanceType":"{}","WeightedCapacity":"{}"}})", name, weight);
  };
  for (const char* bad : {"0", "1000", "-1", "2.5", "two", "2 "})
    EXPECT_THAT(create_with(type("m5.large", bad)), HasSubstr("expected a whole number from 1 to 999")) << bad;
  EXPECT_THAT(create_with(type("m5.large", "2") + R"(,{"InstanceType":"c5.large"})"),
              HasSubstr("1 of 2 have a WeightedCapacity; expected all of them, or none"));
  EXPECT_THAT(create_with(type("m5.large", "2") + "," + type("m5.large", "3")), HasSubstr("is given twice"));
  EXPECT_THAT(create_with(R"({"WeightedCapacity":"2"})"), HasSubstr("has a WeightedCapacity and no InstanceType"));
  EXPECT_EQ(create_with(type("m5.large", "2") + "," + type("m5.4xlarge", "16")), "{}");
  EXPECT_EQ(group("web").weights, (Weights{{"m5.large", 2}, {"m5.4xlarge", 16}}));
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr(R"("WeightedCapacity":"16")"));
  EXPECT_THAT(call("PutWarmPool", R"({"AutoScalingGroupName":"web"})"), HasSubstr("has no warm pool"));
  EXPECT_THAT(add_version(R"({"ImageId":"ami-2","InstanceType":"t3.micro"})"), HasSubstr(R"("VersionNumber":3)"));
  EXPECT_EQ(group("web").weights.size(), 2U) << "they go with the template";
  EXPECT_THAT(call("StartInstanceRefresh",
                   R"({"AutoScalingGroupName":"web","DesiredConfiguration":{"LaunchConfigurationName":"x"}})"),
              HasSubstr("MixedInstancesPolicy with WeightedCapacity"));
  EXPECT_EQ(call("UpdateAutoScalingGroup",
                 R"({"AutoScalingGroupName":"web","LaunchTemplate":{"LaunchTemplateName":"web","Version":"2"}})"),
            "{}");
  EXPECT_TRUE(group("web").weights.empty());
  EXPECT_EQ(call("PutWarmPool", R"({"AutoScalingGroupName":"web"})"), "{}");
  EXPECT_THAT(call("UpdateAutoScalingGroup",
                   fmt::format(R"({{"AutoScalingGroupName":"web","MixedInstancesPolicy":{{"LaunchTemplate":{{)"
                               R"("LaunchTemplateSpecification":{{"LaunchTemplateName":"web"}},"Overrides":[{}]}}}}}})",
                               type("m5.large", "2"))),
              HasSubstr("has no warm pool"));
}

TEST_F(Templates, WhatIsLaunchedCannotBeDeleted) {
  EXPECT_EQ(create("web", "1"), "{}");
  EXPECT_THAT(add_version(script("2")), HasSubstr(R"("VersionNumber":2)"));
  EXPECT_THAT(call("DeleteLaunchTemplate", R"({"LaunchTemplateName":"web"})"),
              HasSubstr("AutoScalingGroup web launches its version 1"));
  EXPECT_THAT(call("ModifyLaunchTemplate", R"({"LaunchTemplateName":"web","DefaultVersion":"2"})"), HasSubstr("web"));
  EXPECT_THAT(call("DeleteLaunchTemplateVersions", R"({"LaunchTemplateName":"web","Versions":["1","2"]})"),
              testing::AllOf(HasSubstr("AutoScalingGroup web launches it"), HasSubstr("It is the default version")));
  EXPECT_EQ(call("DeleteAutoScalingGroup", R"({"AutoScalingGroupName":"web"})"), "{}");
}

}  // namespace
}  // namespace escala::api
