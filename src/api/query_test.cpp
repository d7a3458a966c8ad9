// The faces of AWS's clients without sockets: forms, XML, signatures, roles, the audit log.
#include "api/query.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "api/audit.h"
#include "api/fill.h"
#include "api/gate.h"
#include "api/security.pb.h"
#include "api/sigv4.h"
#include "api/test_support.h"
#include "api/xml.h"
#include "store/memory_store.h"

namespace escala::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kAmzDate = "20261123T120000Z";

class Aws : public testing::Test {
 protected:
  Aws() { context_.gate = &gate_; }

  std::pair<std::string, std::string> key(const std::vector<std::pair<std::string, std::string>>& grants) {
    CreateAccessKeyRequest request;
    for (const auto& [role, groups] : grants) {
      AccessGrant& grant = *request.add_grants();
      grant.set_role(role);
      grant.set_groups(groups);
    }
    CreateAccessKeyResponse made;
    Context owner = context_;
    EXPECT_FALSE(perform(owner, *find_action("CreateAccessKey"), request, made));
    return {made.key().accesskeyid(), made.secretaccesskey()};
  }

  // A request as an honest client makes it.
  Head signed_head(const std::string& id, const std::string& secret, const std::string& body,
                   const std::string& date = kAmzDate) const {
    Head head;
    head.method = "POST";
    head.target = "/";
    head.fields = {{"host", "localhost:8780"},
                   {"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
                   {"x-amz-date", date}};
    const std::vector<std::string> names{"content-type", "host", "x-amz-date"};
    SignedRequest request{
        .method = "POST", .path = "/", .query = "", .headers = {head.fields.begin(), head.fields.end()}};
    const std::string day = date.substr(0, 8), scope = day + "/local/autoscaling/aws4_request";
    const std::string to_sign = string_to_sign(date, scope, canonical_request(request, names, sha256_hex(body)));
    head.fields["authorization"] =
        fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders=content-type;host;x-amz-date, Signature={}", id,
                    scope, signature_of(secret, day, "local", "autoscaling", to_sign));
    return head;
  }
  Answer send(const Head& head, const std::string& body) const {
    return route(context_, head, body, Trust::Reads, "request-1");
  }
  std::string ask(const std::pair<std::string, std::string>& key, const std::string& form) const {
    const std::string body = form + "&Version=2011-01-01";
    return send(signed_head(key.first, key.second, body), body).body;
  }
  std::string owner(const std::string& form, int status = 200) const {
    Head head;
    head.method = "POST";
    head.target = "/";
    head.fields = {{"content-type", "application/x-www-form-urlencoded"}};
    const Revision before = store_.revision();
    const Answer answer = route(context_, head, form + "&Version=2011-01-01", Trust::Changes, "request-1");
    EXPECT_EQ(answer.status, status) << form << "\n" << answer.body;
    if (status != 200) {
      EXPECT_EQ(store_.revision(), before) << "a refused request changed something: " << form;
    }
    return answer.body;
  }
  void make_group(const std::string& name) {
    Head head;
    head.method = "POST";
    head.target = "/v1/CreateLaunchConfiguration";
    head.fields["content-type"] = "application/json";
    (void)route(context_, head, R"({"LaunchConfigurationName":"lc","Process":{"Command":["x"]}})", Trust::Changes,
                "id");
    owner("Action=CreateAutoScalingGroup&AutoScalingGroupName=" + name +
          "&LaunchConfigurationName=lc&MinSize=0&MaxSize=4");
  }

  MemoryStore store_;
  LiveTable live_;
  ManualClock clock_{kNow};
  Gate gate_{store_, clock_, {}};
  Context context_{.store = store_, .live = live_, .clock = clock_};
};

// --- forms ----------------------------------------------------------------------------------------------------------

std::string arranged(const std::string& form) {
  auto parameters = read_form(form);
  if (const auto* error = std::get_if<ApiError>(&parameters)) return error->message;
  auto asked =
      arrange(std::get<Parameters>(parameters), *CreateAutoScalingGroupRequest::descriptor(), ListStyle::Member);
  if (const auto* error = std::get_if<ApiError>(&asked)) return error->message;
  CreateAutoScalingGroupRequest request;
  Faults faults;
  fill(request, std::get<FormRequest>(asked).node, {}, faults, nullptr);
  if (!faults.empty()) return aws_message(faults);
  std::string unknown;
  for (const std::string& name : std::get<FormRequest>(asked).unknown) unknown += " ?" + name;
  return to_json(request).value_or("") + unknown;
}

TEST(Form, ReadsListsStructuresAndScalars) {
  EXPECT_EQ(arranged("Action=X&MinSize=3&AvailabilityZones.member.2=b&AvailabilityZones.member.1=a+%2B"),
            R"({"MinSize":3,"AvailabilityZones":["a +","b"]})");
  EXPECT_EQ(arranged("Tags.member.1.Key=k&Tags.member.1.Value=%C3%A9&Tags.member.1.PropagateAtLaunch=true"),
            "{\"Tags\":[{\"Key\":\"k\",\"Value\":\"\xC3\xA9\",\"PropagateAtLaunch\":true}]}");
  EXPECT_EQ(arranged("AvailabilityZones=&MinSze=1"), "{} ?MinSze");
  EXPECT_EQ(
      arranged("MixedInstancesPolicy.LaunchTemplate.Overrides.member.1.InstanceRequirements.BaselinePerformanceFactors."
               "Cpu.Reference.item.1.InstanceFamily=c6i"),
      R"({"MixedInstancesPolicy":{"LaunchTemplate":{"Overrides":[{"InstanceRequirements":{"BaselinePerformanceFactors":{"Cpu":{"References":[{"InstanceFamily":"c6i"}]}}}}]}}})");
}

TEST(Form, RefusesWhatIsOdd) {
  const std::pair<std::string, const char*> cases[] = {
      {"MinSize=1&MinSize=2", "MinSize given twice"},
      {"AvailabilityZones.member.0=a", "is no index of a list"},
      {"AvailabilityZones.member.-1=a", "is no index of a list"},
      {"AvailabilityZones.member.x=a", "is no index of a list"},
      {"AvailabilityZones.member.99999999999999999999=a", "is no index of a list"},
      {"AvailabilityZones.member.1=a&AvailabilityZones.member.3=c", "member 2 is missing"},
      {"AvailabilityZones.1=a", "is no member of a list"},
      {"AvailabilityZones=a", "is a list"},
      {"MinSize.a=1", "is a single value"},
      {"MinSize=%", "bad percent-encoding"},
      {"MinSize=%2", "bad percent-encoding"},
      {"MinSize=%G1", "bad percent-encoding"},
      {"MinSize=abc", "Value 'abc' at 'minSize' failed to satisfy constraint: Member must be an integer"},
      {"MinSize=1.5", "Member must be an integer"},
      {"MinSize=", "Member must be an integer"},
      {"MinSize=+5", "Member must be an integer"},
      {"MinSize=2147483648", "Member must be an integer of 32 bits"},
      {"NewInstancesProtectedFromScaleIn=maybe", "Member must be true or false"},
      {"=1", "without a name"},
      {std::string(2000, 'a') + "=1", "has more than 1024 bytes"},
  };
  for (const auto& [form, expected] : cases) EXPECT_THAT(arranged(form), HasSubstr(expected)) << form;
  std::string many, deep = "a";
  for (int i = 0; i < 20'001; ++i) many += fmt::format("p{}=1&", i);
  for (int i = 0; i < 50; ++i) deep += ".a";
  EXPECT_THAT(arranged(many), HasSubstr("more than 20000 parameters"));
  EXPECT_THAT(arranged(deep + "=1"), HasSubstr("nested deeper"));
}

TEST(Xml, EveryStringIsLegal) {
  std::string out;
  append_escaped(out, "a<b>&\"'\r\n\t\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(out, "a&lt;b&gt;&amp;\"'&#xD;\n\t\xC3\xA9\xF0\x9F\x98\x80");
  out.clear();
  append_escaped(out, std::string_view("x\0\x1B\xFF\xEF\xBF\xBEy", 8));
  EXPECT_EQ(find_bad_character(out), std::string::npos) << out;
  EXPECT_THAT(out, StartsWith("x\xEF\xBF\xBD"));
}

TEST_F(Aws, AnswersInTheShapeOfTheModel) {
  make_group("web");
  const std::string answer = owner("Action=DescribeAutoScalingGroups");
  EXPECT_THAT(answer,
              HasSubstr("<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">"
                        "<DescribeAutoScalingGroupsResult><AutoScalingGroups><member>"));
  EXPECT_THAT(answer, HasSubstr("<AutoScalingGroupName>web</AutoScalingGroupName>"));
  EXPECT_THAT(answer, HasSubstr("<Instances/>")) << "clients iterate over lists, also empty ones";
  EXPECT_THAT(answer, HasSubstr("<ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata>"));
  EXPECT_EQ(answer.find("Escala"), std::string::npos) << "fields of ours are not in AWS's shape";
  EXPECT_EQ(owner("Action=SetDesiredCapacity&AutoScalingGroupName=web&DesiredCapacity=2").find("Result>"),
            std::string::npos);
  EXPECT_THAT(owner("Action=PutLifecycleHook&AutoScalingGroupName=web&LifecycleHookName=h&LifecycleTransition="
                    "autoscaling%3AEC2_INSTANCE_LAUNCHING"),
              HasSubstr("<PutLifecycleHookResult></PutLifecycleHookResult>"));
  const std::string refused = owner("Action=DeleteAutoScalingGroup&AutoScalingGroupName=%3Cb%3E", 400);
  EXPECT_THAT(refused, HasSubstr("<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error>"
                                 "<Type>Sender</Type><Code>ValidationError</Code><Message>"));
  EXPECT_THAT(refused, HasSubstr("&lt;b&gt;"));
  EXPECT_THAT(refused, HasSubstr("<RequestId>request-1</RequestId></ErrorResponse>"));
}

TEST_F(Aws, RefusesWhatItDoesNotServe) {
  EXPECT_THAT(owner("Action=Foo", 400), HasSubstr("Could not find operation Foo for version 2011-01-01"));
  EXPECT_THAT(owner("Action=Pause", 400), HasSubstr("InvalidAction")) << "not AWS's";
  EXPECT_THAT(owner("Action=A&Action=B", 400), HasSubstr("Action given twice"));
  EXPECT_THAT(owner("x=1", 400), HasSubstr("MissingAction"));
  Head head;
  head.method = "POST";
  head.target = "/";
  head.fields = {{"content-type", "application/x-www-form-urlencoded"}};
  for (const char* form :
       {"Action=DescribeTags", "Action=DescribeTags&Version=2010-08-02", "Action=DescribeTags&Version=abc"}) {
    const Answer answer = route(context_, head, form, Trust::Changes, "id");
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr("2011-01-01 (EC2 Auto Scaling)")) << form;
  }
  head.fields["content-type"] = "application/json";
  EXPECT_EQ(route(context_, head, "{}", Trust::Changes, "id").status, 415);
  head.method = "PUT";
  EXPECT_EQ(route(context_, head, "", Trust::Changes, "id").status, 405);
}

TEST_F(Aws, SaysWhatItIgnoredAndRefusesWhatItCannotDo) {
  make_group("web");
  Head head;
  head.method = "POST";
  head.target = "/";
  head.fields = {{"content-type", "application/x-www-form-urlencoded"}};
  const Answer answer = route(context_, head,
                              "Action=UpdateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName=web&MinSze=1%0d&"
                              "ServiceLinkedRoleARN=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx",
                              Trust::Changes, "id");
  EXPECT_EQ(answer.status, 200) << answer.body;
  ASSERT_EQ(answer.headers.size(), 1U);
  EXPECT_EQ(answer.headers[0].first, "x-escala-warning");
  EXPECT_THAT(answer.headers[0].second, HasSubstr("unknown parameter MinSze"));
  EXPECT_THAT(answer.headers[0].second, HasSubstr("ignored ServiceLinkedRoleARN"));
}

// --- signatures -----------------------------------------------------------------------------------------------------

// Facts published by AWS: the general signing test suite (AKIDEXAMPLE, 2015-08-30T12:36:00Z, us-east-1, "service").
TEST(SigV4, PublishedVectors) {
  constexpr const char* kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
  struct Vector {
    const char* name;
    SignedRequest request;
    std::vector<std::string> names;
    const char* body;
    const char* signature;
  };
  const std::vector<std::pair<std::string, std::string>> plain{{"host", "example.amazonaws.com"},
                                                               {"x-amz-date", "20150830T123600Z"}};
  const std::vector<std::string> two{"host", "x-amz-date"};
  const auto with = [&](std::vector<std::pair<std::string, std::string>> more) {
    more.insert(more.end(), plain.begin(), plain.end());
    return more;
  };
  const Vector vectors[] = {
      {"get-vanilla",
       {"GET", "/", "", plain},
       two,
       "",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"post-vanilla",
       {"POST", "/", "", plain},
       two,
       "",
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"get-vanilla-query-order-key-case",
       {"GET", "/", "Param2=value2&Param1=value1", plain},
       two,
       "",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-unicode",
       {"GET", "/\xE1\x88\xB4", "", plain},
       two,
       "",
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-space-normalized",
       {"GET", "/example space/", "", plain},
       two,
       "",
       "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-relative-relative",
       {"GET", "/example1/example2/../..", "", plain},
       two,
       "",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-header-value-trim",
       {"GET", "/", "", with({{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}})},
       {"host", "my-header1", "my-header2", "x-amz-date"},
       "",
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"get-header-key-duplicate",
       {"GET", "/", "", with({{"my-header1", "value2"}, {"my-header1", "value2"}, {"my-header1", "value1"}})},
       {"host", "my-header1", "x-amz-date"},
       "",
       "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"post-x-www-form-urlencoded",
       {"POST", "/", "", with({{"content-type", "application/x-www-form-urlencoded"}})},
       {"content-type", "host", "x-amz-date"},
       "Param1=value1",
       "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };
  for (const Vector& each : vectors) {
    const std::string canonical = canonical_request(each.request, each.names, sha256_hex(each.body));
    const std::string to_sign =
        string_to_sign("20150830T123600Z", "20150830/us-east-1/service/aws4_request", canonical);
    EXPECT_EQ(signature_of(kSecret, "20150830", "us-east-1", "service", to_sign), each.signature) << each.name << "\n"
                                                                                                  << canonical;
  }
}

TEST_F(Aws, TakesARightSignatureAndNoOther) {
  const auto admin = key({{"admin", "*"}});
  const std::string body = "Action=DescribeAutoScalingGroups&Version=2011-01-01";
  const Head good = signed_head(admin.first, admin.second, body);
  EXPECT_EQ(send(good, body).status, 200) << send(good, body).body;
  // Every single-byte change of the header, and of the body, is refused.
  const std::string header = good.fields.at("authorization");
  for (size_t i = 0; i < header.size(); ++i) {
    Head bad = good;
    bad.fields["authorization"][i] = static_cast<char>(header[i] ^ 1);
    EXPECT_NE(send(bad, body).status, 200) << bad.fields["authorization"];
  }
  for (size_t i = 0; i < body.size(); ++i) {
    std::string bad = body;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_EQ(send(good, bad).status, 403) << bad;
  }
  EXPECT_THAT(send(signed_head(admin.first, "wrong", body), body).body, HasSubstr("SignatureDoesNotMatch"));
  EXPECT_THAT(send(signed_head("ESCANOBODY", admin.second, body), body).body, HasSubstr("InvalidClientTokenId"));
  // The key as its own secret, as a fallback once had it elsewhere.
  EXPECT_THAT(send(signed_head("ESCANOBODY", "ESCANOBODY", body), body).body, HasSubstr("InvalidClientTokenId"));
  EXPECT_THAT(send(signed_head(admin.first, "", body), body).body, HasSubstr("SignatureDoesNotMatch"));
  Head none = good;
  none.fields.erase("authorization");
  EXPECT_THAT(send(none, body).body, HasSubstr("MissingAuthenticationToken"));
  EXPECT_EQ(send(none, body).status, 403);
}

TEST_F(Aws, RefusesWhatIsMalformedOrUnsigned) {
  const auto admin = key({{"admin", "*"}});
  const std::string body = "Action=DescribeTags&Version=2011-01-01";
  const Head good = signed_head(admin.first, admin.second, body);
  const std::string header = good.fields.at("authorization");
  const auto replaced = [&](const std::string& what, const std::string& by) {
    std::string text = header;
    text.replace(text.find(what), what.size(), by);
    Head head = good;
    head.fields["authorization"] = text;
    return send(head, body);
  };
  for (const auto& [what, by] : std::vector<std::pair<std::string, std::string>>{
           {"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"},
           {"AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"},
           {"SignedHeaders=content-type;host;x-amz-date", "SignedHeaders="},
           {"SignedHeaders=content-type;host;x-amz-date, ", ""},
           {"content-type;host", "host;content-type"},
           {"content-type;host", "host;host"},
           {"content-type;host", "Content-Type;host"},
           {"aws4_request", "aws4_request/x"},
           {"aws4_request", "aws5_request"},
           {"Credential=", "Credential=a/"},
           {"Signature=", "Signature=0"},
           {", Signature=", ", Signature=" + std::string(64, '0') + ", Signature="},
       }) {
    const Answer answer = replaced(what, by);
    EXPECT_EQ(answer.status, 400) << what << " -> " << by << "\n" << answer.body;
    EXPECT_THAT(answer.body, HasSubstr("IncompleteSignature")) << what;
  }
  EXPECT_THAT(replaced("content-type;host;x-amz-date", "content-type;x-amz-date").body,
              HasSubstr("SignatureDoesNotMatch"));
  EXPECT_THAT(replaced("content-type;host;x-amz-date", "content-type;host").body, HasSubstr("SignatureDoesNotMatch"));
  EXPECT_THAT(replaced("/local/", "/us-east-1/").body, HasSubstr("valid region: 'local'"));
  EXPECT_THAT(replaced("/autoscaling/", "/ec2/").body, HasSubstr("correct service: 'autoscaling'"));
  EXPECT_THAT(replaced("/20261123/", "/20261122/").body, HasSubstr("'20261122' != '20261123'"));
  for (const char* hash : {"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ""}) {
    Head head = good;
    head.fields["x-amz-content-sha256"] = hash;
    EXPECT_EQ(send(head, body).status, 403) << hash;
  }
  Head twice = good;
  twice.target = "/?X-Amz-Signature=0";
  EXPECT_THAT(send(twice, body).body, HasSubstr("query string"));
  Head token = good;
  token.fields["x-amz-security-token"] = "t";
  EXPECT_EQ(send(token, body).status, 403);
}

TEST_F(Aws, TimeIsBounded) {
  const auto admin = key({{"admin", "*"}});
  const std::string body = "Action=DescribeTags&Version=2011-01-01";
  const auto at = [&](const char* date) { return send(signed_head(admin.first, admin.second, body, date), body).body; };
  EXPECT_THAT(at("20261123T115501Z"), HasSubstr("DescribeTagsResult"));
  EXPECT_THAT(at("20261123T120459Z"), HasSubstr("DescribeTagsResult"));
  EXPECT_THAT(
      at("20261123T115459Z"),
      HasSubstr(
          "Signature expired: 20261123T115459Z is now earlier than 20261123T115500Z (20261123T120000Z - 5 min.)"));
  EXPECT_THAT(at("20261123T120501Z"),
              HasSubstr("Signature not yet current: 20261123T120501Z is still later than 20261123T120500Z"));
}

TEST_F(Aws, DeletedKeysAreOutAtOnceAndFastOnesAreSlowedDown) {
  const auto reader = key({{"read", "*"}});
  EXPECT_THAT(ask(reader, "Action=DescribeTags"), HasSubstr("DescribeTagsResult"));
  std::string last;
  for (int i = 0; i < 2100; ++i) last = ask(reader, "Action=DescribeAdjustmentTypes");
  EXPECT_THAT(last, HasSubstr("<Code>Throttling</Code><Message>Rate exceeded</Message>"));
  clock_.advance(1s);
  EXPECT_THAT(ask(reader, "Action=DescribeTags"), HasSubstr("DescribeTagsResult"));
  DeleteAccessKeyRequest request;
  request.set_accesskeyid(reader.first);
  Empty none;
  ASSERT_FALSE(perform(context_, *find_action("DeleteAccessKey"), request, none));
  EXPECT_THAT(ask(reader, "Action=DescribeTags"), HasSubstr("InvalidClientTokenId"));
}

// --- roles ----------------------------------------------------------------------------------------------------------

TEST_F(Aws, RolesBindToGroupNames) {
  make_group("web-1");
  make_group("db");
  const auto reader = key({{"read", "web-*"}}), operator_ = key({{"operate", "web-*"}, {"read", "db"}}),
             admin = key({{"admin", "*"}}), nobody = key({{"read", "x"}});
  const std::string all = "Action=DescribeAutoScalingGroups";
  EXPECT_THAT(ask(reader, all), HasSubstr("web-1"));
  EXPECT_EQ(ask(reader, all).find(">db<"), std::string::npos) << "listings show what the grants allow";
  EXPECT_THAT(ask(operator_, all), HasSubstr(">db<"));
  EXPECT_EQ(ask(nobody, all).find("web-1"), std::string::npos);
  const auto set = [](const char* group) {
    return std::string("Action=SetDesiredCapacity&DesiredCapacity=1&AutoScalingGroupName=") + group;
  };
  EXPECT_THAT(ask(reader, set("web-1")), HasSubstr("AccessDenied"));
  EXPECT_THAT(ask(operator_, set("web-1")), HasSubstr("SetDesiredCapacityResponse"));
  EXPECT_THAT(ask(operator_, set("db")),
              HasSubstr("is not authorized to perform: autoscaling:SetDesiredCapacity on group db"));
  EXPECT_THAT(ask(operator_, "Action=DeleteAutoScalingGroup&AutoScalingGroupName=web-1"), HasSubstr("AccessDenied"));
  EXPECT_THAT(ask(admin, "Action=DeleteAutoScalingGroup&AutoScalingGroupName=web-1"),
              HasSubstr("DeleteAutoScalingGroupResponse"));
  EXPECT_THAT(ask(operator_, "Action=CreateOrUpdateTags&Tags.member.1.ResourceId=db&Tags.member.1.Key=k"),
              HasSubstr("AccessDenied"));
  EXPECT_THAT(ask(operator_, "Action=ExecutePolicy&PolicyName=p"), HasSubstr("AccessDenied"))
      << "of no group: needs all";
}

// Operations x callers: nobody does more than the role says, whichever operation it is.
TEST_F(Aws, NoOperationIsWithoutAGuard) {
  make_group("web");
  Caller none{.key_id = "K", .grants = {}}, read{.key_id = "K", .grants = {{Role::Read, "web"}}},
      operate{.key_id = "K", .grants = {{Role::Operate, "web"}}}, admin{.key_id = "K", .grants = {{Role::Admin, "*"}}};
  for (const Action& action : actions()) {
    const std::unique_ptr<google::protobuf::Message> request(action.request->New());
    if (const auto* field = request->GetDescriptor()->FindFieldByName("AutoScalingGroupName");
        field != nullptr && !field->is_repeated())
      request->GetReflection()->SetString(request.get(), field, "web");
    const auto allowed = [&](const Caller& caller) {
      Context context = context_;
      context.caller = &caller;
      return !authorize(context, action, *request).has_value();
    };
    EXPECT_FALSE(allowed(none)) << action.name;
    EXPECT_EQ(allowed(admin), !action.owner_only) << action.name;
    if (action.changes) {
      EXPECT_FALSE(allowed(read)) << action.name;
      EXPECT_NE(action.role, Role::Read) << action.name;
    }
    if (action.role == Role::Admin) {
      EXPECT_FALSE(allowed(operate)) << action.name;
    }
  }
}

TEST(Access, Patterns) {
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("web-*-blue", "web-1-2-blue"));
  EXPECT_TRUE(matches_pattern("w?b", "web"));
  EXPECT_FALSE(matches_pattern("web", "web-1"));
  EXPECT_FALSE(matches_pattern("web-*-blue", "web-1-blu"));
  EXPECT_FALSE(matches_pattern("", "a"));
}

TEST_F(Aws, TokensAreOfOneCaller) {
  for (const char* name : {"a", "b", "c"}) make_group(name);
  const auto one = key({{"read", "*"}}), two = key({{"read", "*"}});
  const std::string page = ask(one, "Action=DescribeAutoScalingGroups&MaxRecords=1");
  const size_t start = page.find("<NextToken>") + 11;
  const std::string token = page.substr(start, page.find("</NextToken>") - start);
  const std::string next = "Action=DescribeAutoScalingGroups&MaxRecords=1&NextToken=";
  EXPECT_THAT(ask(one, next + token), HasSubstr("<AutoScalingGroupName>b<"));
  EXPECT_THAT(ask(two, next + token), HasSubstr("InvalidNextToken"));
  EXPECT_THAT(ask(one, "Action=DescribeTags&NextToken=" + token), HasSubstr("InvalidNextToken"));
  for (size_t i = 0; i < token.size(); i += 7) {
    std::string bad = token;
    bad[i] = bad[i] == '0' ? '1' : '0';
    EXPECT_THAT(ask(one, next + bad), HasSubstr("InvalidNextToken"));
  }
}

// --- audit ----------------------------------------------------------------------------------------------------------

class Audit : public Aws {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/escala-audit-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string text() const {
    std::ifstream file(dir_ + "/audit.log");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& text) const { std::ofstream(dir_ + "/audit.log", std::ios::trunc) << text; }
  std::string dir_;
};

TEST_F(Audit, TellsWhoDidWhatWithoutSecretsAndSeesTampering) {
  auto log = AuditLog::open(dir_, kNow);
  ASSERT_TRUE(log.ok());
  context_.audit = log->get();
  const auto admin = key({{"admin", "*"}}), reader = key({{"read", "*"}});
  make_group("web");
  ask(reader, "Action=SetDesiredCapacity&DesiredCapacity=1&AutoScalingGroupName=web");
  ask(admin, "Action=CreateLaunchConfiguration&LaunchConfigurationName=x&UserData=c2VjcmV0Cg%3D%3D");
  const std::string whole = text();
  EXPECT_THAT(whole, HasSubstr("\"action\":\"CreateAutoScalingGroup\""));
  EXPECT_THAT(whole, HasSubstr("\"who\":\"" + reader.first + "\""));
  EXPECT_THAT(whole, HasSubstr("\"outcome\":\"AccessDenied\""));
  EXPECT_EQ(whole.find("c2VjcmV0"), std::string::npos) << "user data is withheld";
  EXPECT_EQ(whole.find(admin.second), std::string::npos);
  ASSERT_TRUE(verify_audit(dir_).ok()) << verify_audit(dir_).error().message;
  const uint64_t lines = verify_audit(dir_)->lines;
  EXPECT_GE(lines, 5U);
  // One byte anywhere.
  for (size_t i = 0; i < whole.size(); i += 13) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    write(bad);
    EXPECT_FALSE(verify_audit(dir_).ok()) << "byte " << i;
  }
  const size_t second = whole.find('\n') + 1, third = whole.find('\n', second) + 1;
  write(whole.substr(0, second) + whole.substr(third));
  EXPECT_FALSE(verify_audit(dir_).ok()) << "a line dropped";
  write(whole.substr(0, third));
  EXPECT_THAT(verify_audit(dir_).error().message, HasSubstr("missing at its end"));
  write(whole);
  EXPECT_TRUE(verify_audit(dir_).ok());
  // A new process goes on with the chain.
  context_.audit = nullptr;
  log->reset();
  auto again = AuditLog::open(dir_, kNow);
  ASSERT_TRUE(again.ok());
  (*again)->write(
      {.at = kNow, .request_id = "r", .who = "w", .from = "f", .action = "A", .parameters = "{}", .outcome = "ok"});
  EXPECT_EQ(verify_audit(dir_)->lines, lines + 1);
}

TEST_F(Audit, ABrokenChainIsPutAsideAndTheManagerGoesOn) {
  write("{\"seq\":1}\n");
  auto log = AuditLog::open(dir_, kNow);
  ASSERT_TRUE(log.ok());
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/audit.log.broken"));
  EXPECT_THAT(text(), HasSubstr("ChainBroken"));
  EXPECT_TRUE(verify_audit(dir_).ok());
}

}  // namespace
}  // namespace escala::api
