// Groups of launch templates that are in EC2: what they launch, what they follow, and what becomes of what nobody
// launches any more.
#include "api/ec2_templates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "api/test_support.h"

namespace escala::api {
namespace {

using testing::HasSubstr;

constexpr const char* kId = "lt-0a1b2c3d4e5f60718";

class InEc2 : public ApiOverMemory {
 protected:
  InEc2() {
    context_.ec2_is_elsewhere = true;
    context_.ec2_template = [this](const LaunchTemplateSpecification& wanted) { return answer(wanted); };
    versions_[1] = version(1, "m5.large");
    versions_[1].settings.set_user_data("#!/bin/sh\n");
    versions_[2] = version(2, "m5.large");
  }
  static Ec2TemplateVersion version(int number, const std::string& type) {
    Ec2TemplateVersion out;
    out.id = kId;
    out.name = "web";
    out.number = number;
    out.created_at = kNow;
    out.image_id = "ami-" + std::to_string(number);
    out.instance_type = type;
    return out;
  }
  Result<Ec2TemplateVersion> answer(const LaunchTemplateSpecification& wanted) {
    ++asked_;
    if (down_) return Error{ErrorKind::Unavailable, "no route to EC2"};
    if (wanted.launchtemplateid() != kId && wanted.launchtemplatename() != "web")
      return Error{ErrorKind::Invalid, "InvalidLaunchTemplateName.NotFoundException: there is none"};
    const std::string& version = wanted.version();
    int number = default_;
    if (version == kLatest)
      number = versions_.rbegin()->first;
    else if (!version.empty() && version != kDefault)
      number = std::stoi(version);
    if (!versions_.contains(number)) return Error{ErrorKind::NotFound, "no such version"};
    return versions_[number];
  }
  std::string create(const std::string& group, const std::string& version, const std::string& more = "") {
    return call("CreateAutoScalingGroup",
                R"({"AutoScalingGroupName":")" + group +
                    R"(","MinSize":0,"MaxSize":4,"AvailabilityZones":["a"],"LaunchTemplate":)" +
                    R"({"LaunchTemplateName":"web","Version":")" + version + R"("})" + more + "}");
  }
  Group group(const std::string& name) { return std::get<0>(load_group(context_, GroupName(name))).group; }
  state::LaunchSpec spec(const std::string& name) {
    const std::string key = keys::spec(group(name).spec.id);
    return parse<state::LaunchSpec>(key, store_.get(key).value().value().value).value();
  }
  size_t specs() { return store_.count(keys::kSpecs).value(); }

  std::map<int, Ec2TemplateVersion> versions_;
  int default_ = 1;
  int asked_ = 0;
  bool down_ = false;
  Ec2TemplateFollower follower_;
};

TEST_F(InEc2, AreLaunchedByTheirNumber) {
  EXPECT_EQ(create("fixed", "2"), "{}");
  EXPECT_EQ(create("standard", "$Default"), "{}");
  EXPECT_EQ(group("fixed").spec.id.str(), std::string(kId) + ":web:2");
  EXPECT_TRUE(group("fixed").spec.is_template);
  EXPECT_EQ(spec("fixed").ec2().launch_template_id(), kId);
  EXPECT_EQ(spec("fixed").ec2().launch_template_version(), "2");
  EXPECT_EQ(spec("standard").ec2().launch_template_version(), "1");
  EXPECT_EQ(spec("standard").ec2().user_data(), "#!/bin/sh\n");  // runs after the agent is there
  EXPECT_THAT(call("DescribeAutoScalingGroups", R"({"AutoScalingGroupNames":["standard"]})"),
              HasSubstr(R"("LaunchTemplate":{"LaunchTemplateId":")" + std::string(kId) +
                        R"(","LaunchTemplateName":"web","Version":"$Default"})"));
}

TEST_F(InEc2, PlaceTheirGroupsInSubnets) {
  EXPECT_EQ(call("CreateAutoScalingGroup",
                 R"({"AutoScalingGroupName":"web","MinSize":0,"MaxSize":4,"VPCZoneIdentifier":"subnet-1,subnet-2",)"
                 R"("LaunchTemplate":{"LaunchTemplateName":"web"}})"),
            "{}");
  EXPECT_EQ(group("web").zones, (std::vector{ZoneName("subnet-1"), ZoneName("subnet-2")}));
}

TEST_F(InEc2, TakeTheTypesOfAPolicy) {
  versions_[3] = version(3, "");
  EXPECT_THAT(create("plain", "3"),
              HasSubstr("version 3 of launch template web cannot be launched: it has no InstanceType"));
  EXPECT_EQ(
      call("CreateAutoScalingGroup",
           R"({"AutoScalingGroupName":"mixed","MinSize":0,"MaxSize":4,"AvailabilityZones":["a"],)"
           R"("MixedInstancesPolicy":{"LaunchTemplate":{"LaunchTemplateSpecification":{"LaunchTemplateName":"web",)"
           R"("Version":"$Latest"},"Overrides":[{"InstanceType":"c5.large","WeightedCapacity":"2"},)"
           R"({"InstanceType":"c5.xlarge","WeightedCapacity":"4"}]}}})"),
      "{}");
  EXPECT_EQ(spec("mixed").ec2().override_types_size(), 2);
  EXPECT_EQ(group("mixed").weights.size(), 2U);
  versions_[4] = versions_[3];
  versions_[4].number = 4;
  follower_.round(context_);
  EXPECT_EQ(spec("mixed").ec2().launch_template_version(), "4");
  EXPECT_EQ(spec("mixed").ec2().override_types_size(), 2);
}

TEST_F(InEc2, SayWhatIsMissing) {
  EXPECT_THAT(create("none", "7"),
              HasSubstr("ValidationError: launch template web is not kept here, and EC2 answers: no "
                        "such version"));
  versions_[2].network_interfaces = 2;
  EXPECT_THAT(create("none", "2"), HasSubstr("it has 2 network interfaces, expected at most one"));
  versions_[2].image_id.clear();
  EXPECT_THAT(create("none", "2"), HasSubstr("it has no ImageId"));
  versions_[2].number = 10'001;
  EXPECT_THAT(create("none", "2"), HasSubstr("expected a name without ':' and a version from 1 to 10000"));
  down_ = true;
  EXPECT_THAT(create("none", "1"),
              HasSubstr("ServiceUnavailable: launch template web is not kept here, and EC2 answers: "
                        "no route to EC2"));
  EXPECT_EQ(specs(), 0U);
}

TEST_F(InEc2, AreFollowedOnceARound) {
  EXPECT_EQ(create("latest", "$Latest"), "{}");
  EXPECT_EQ(create("standard", "$Default"), "{}");
  EXPECT_EQ(create("fixed", "1"), "{}");
  asked_ = 0;
  const Revision before = store_.revision();
  follower_.round(context_);
  EXPECT_EQ(asked_, 2);  // one a word, however many groups
  EXPECT_EQ(store_.revision(), before);
  versions_[3] = version(3, "m5.large");
  default_ = 2;
  follower_.round(context_);
  EXPECT_EQ(spec("latest").ec2().launch_template_version(), "3");
  EXPECT_EQ(spec("standard").ec2().launch_template_version(), "2");
  EXPECT_EQ(spec("fixed").ec2().launch_template_version(), "1");
  // Without an answer they stay.
  down_ = true;
  versions_[4] = version(4, "m5.large");
  follower_.round(context_);
  EXPECT_EQ(spec("latest").ec2().launch_template_version(), "3");
  down_ = false;
  versions_[4].image_id.clear();  // nothing that could be launched
  follower_.round(context_);
  EXPECT_EQ(spec("latest").ec2().launch_template_version(), "3");
}

TEST_F(InEc2, OneThatCannotLaunchAVersionHoldsBackNobodyElse) {
  EXPECT_EQ(create("a-plain", "$Latest"), "{}");
  EXPECT_EQ(
      call("CreateAutoScalingGroup",
           R"({"AutoScalingGroupName":"mixed","MinSize":0,"MaxSize":4,"AvailabilityZones":["a"],)"
           R"("MixedInstancesPolicy":{"LaunchTemplate":{"LaunchTemplateSpecification":{"LaunchTemplateName":"web",)"
           R"("Version":"$Latest"},"Overrides":[{"InstanceType":"c5.large"}]}}})"),
      "{}");
  versions_[3] = version(3, "");  // without a type
  follower_.round(context_);
  EXPECT_EQ(spec("a-plain").ec2().launch_template_version(), "2");
  EXPECT_EQ(spec("mixed").ec2().launch_template_version(), "3");
}

TEST_F(InEc2, AreLookedUpWhenAnInstanceRefreshStarts) {
  EXPECT_EQ(create("web", "$Latest"), "{}");
  versions_[3] = version(3, "m5.large");
  EXPECT_THAT(call("StartInstanceRefresh", R"({"AutoScalingGroupName":"web"})"), HasSubstr("InstanceRefreshId"));
  EXPECT_EQ(spec("web").ec2().launch_template_version(), "3");
}

TEST_F(InEc2, WhatNobodyLaunchesIsForgotten) {
  EXPECT_EQ(create("web", "1"), "{}");
  EXPECT_EQ(call("UpdateAutoScalingGroup",
                 R"({"AutoScalingGroupName":"web","LaunchTemplate":{"LaunchTemplateName":"web","Version":"2"}})"),
            "{}");
  EXPECT_EQ(specs(), 2U);
  follower_.round(context_);
  EXPECT_EQ(specs(), 2U);  // somebody may be about to use it
  follower_.round(context_);
  EXPECT_EQ(specs(), 1U);
  EXPECT_EQ(spec("web").ec2().launch_template_version(), "2");
}

TEST_F(InEc2, AreAskedSoManyOfARoundAndTheOthersInTheNext) {
  std::set<std::string> seen;
  context_.ec2_template = [&](const LaunchTemplateSpecification& wanted) -> Result<Ec2TemplateVersion> {
    const std::string id =
        wanted.launchtemplateid().empty() ? "lt-" + wanted.launchtemplatename() : wanted.launchtemplateid();
    seen.insert(id);
    Ec2TemplateVersion out = version(1, "m5.large");
    out.id = id;
    out.name = id.substr(3);
    return out;
  };
  constexpr size_t kAll = kEc2TemplatesInARound + 20;
  for (size_t i = 0; i < kAll; ++i)
    EXPECT_EQ(call("CreateAutoScalingGroup",
                   R"({"AutoScalingGroupName":"g)" + std::to_string(i) +
                       R"(","MinSize":0,"MaxSize":4,"AvailabilityZones":["a"],"LaunchTemplate":)" +
                       R"({"LaunchTemplateName":"web)" + std::to_string(i) + R"(","Version":"$Latest"}})"),
              "{}");
  seen.clear();
  follower_.round(context_);
  EXPECT_EQ(seen.size(), kEc2TemplatesInARound);
  follower_.round(context_);
  EXPECT_EQ(seen.size(), kAll);
}

// Somebody else's commit comes between what a handler reads and what it writes, once.
class Overtaken final : public Store {
 public:
  using Store::commit;
  std::vector<Result<Revision>> commit(std::span<const Batch> batches) override {
    if (auto first = std::exchange(before, nullptr)) first();
    return under_.commit(batches);
  }
  Result<std::optional<Record>> get(std::string_view key) const override { return under_.get(key); }
  Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after, size_t limit) const override {
    return under_.scan(prefix, after, limit);
  }
  Result<size_t> count(std::string_view prefix) const override { return under_.count(prefix); }
  Result<std::vector<Change>> changes(std::string_view prefix, Revision since) const override {
    return under_.changes(prefix, since);
  }
  Revision revision() const override { return under_.revision(); }
  void on_commit(std::function<void()> listener) override { under_.on_commit(std::move(listener)); }
  Status writable() const override { return under_.writable(); }

  std::function<void()> before;

 private:
  MemoryStore under_;
};

class BeginToLaunch : public InEc2 {
 protected:
  std::string overtaken(const std::string& operation, const std::string& json, std::function<void()> by) {
    overtaken_.before = std::move(by);
    return ask(operation, json);
  }
  std::string ask(const std::string& operation, const std::string& json) {
    Head head;
    head.method = "POST";
    head.target = "/v1/" + operation;
    head.fields["content-type"] = "application/json";
    Context context{overtaken_, live_, clock_};
    return route(context, head, json, Trust::Changes, "id").body;
  }
  Overtaken overtaken_;
};

TEST_F(BeginToLaunch, WhoDeletesALaunchConfigurationMeanwhileIsRefused) {
  ask("CreateLaunchConfiguration", R"({"LaunchConfigurationName":"lc","Process":{"Command":["/bin/true"]}})");
  EXPECT_THAT(overtaken("DeleteLaunchConfiguration", R"({"LaunchConfigurationName":"lc"})",
                        [&] {
                          EXPECT_EQ(ask("CreateAutoScalingGroup",
                                        R"({"AutoScalingGroupName":"web","LaunchConfigurationName":"lc","MinSize":0,)"
                                        R"("MaxSize":1})"),
                                    "{}");
                        }),
              HasSubstr("ResourceInUse"));
}

TEST_F(BeginToLaunch, WhoDeletesALaunchTemplateMeanwhileIsRefused) {
  ask("CreateLaunchTemplate",
      R"({"LaunchTemplateName":"web","LaunchTemplateData":{"UserData":"IyEvYmluL3NoCiMgMQo="}})");
  EXPECT_THAT(overtaken("DeleteLaunchTemplate", R"({"LaunchTemplateName":"web"})",
                        [&] {
                          EXPECT_EQ(
                              ask("CreateAutoScalingGroup", R"({"AutoScalingGroupName":"web","MinSize":0,"MaxSize":1,)"
                                                            R"("LaunchTemplate":{"LaunchTemplateName":"web"}})"),
                              "{}");
                        }),
              HasSubstr("ResourceInUse"));
}

}  // namespace
}  // namespace escala::api
