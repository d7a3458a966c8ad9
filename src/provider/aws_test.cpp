// Signing, settings, credentials and calls of AWS, as far as no EC2 is in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "provider/aws_json.h"
#include "provider/ec2_errors.h"
#include "provider/test_ec2.h"
#include "provider/test_processes.h"

namespace escala {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// --- signing: cases of the published SigV4 suite, by their names there -----------------------------------------------

constexpr int64_t kSuiteTime = 1440938160;  // 2015-08-30T12:36:00Z
const AwsCredentials kSuiteCredentials{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", 0, ""};
const AwsScope kSuiteScope{"us-east-1", "service"};

std::string suite_signature(SignedRequest request) {
  request.host = "example.amazonaws.com";
  sign(request, kSuiteCredentials, kSuiteScope, kSuiteTime);
  const std::string& header = request.headers.at("authorization");
  return header.substr(header.rfind('=') + 1);
}

TEST(SigV4, AgreesWithThePublishedCases) {
  EXPECT_EQ(amz_date(kSuiteTime), "20150830T123600Z");
  EXPECT_EQ(suite_signature({}),  // post-vanilla
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
  SignedRequest form;  // post-x-www-form-urlencoded
  form.headers["content-type"] = "application/x-www-form-urlencoded";
  form.body = "Param1=value1";
  EXPECT_EQ(suite_signature(form), "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
  SignedRequest header;  // post-header-key-sort
  header.headers["my-header1"] = "value1";
  EXPECT_EQ(suite_signature(header), "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c");
}

TEST(SigV4, NamesWhatItSignedAndCarriesTheSessionToken) {
  SignedRequest request;
  request.host = "ec2.eu-central-1.amazonaws.com";
  AwsCredentials credentials = kSuiteCredentials;
  credentials.session_token = "token";
  sign(request, credentials, {"eu-central-1", "ec2"}, kSuiteTime);
  EXPECT_THAT(request.headers.at("authorization"),
              HasSubstr("Credential=AKIDEXAMPLE/20150830/eu-central-1/ec2/aws4_request, "
                        "SignedHeaders=host;x-amz-date;x-amz-security-token, "));
  EXPECT_EQ(request.headers.at("x-amz-security-token"), "token");
  // Signed anew, it is signed the same: the header of the first time does not enter the second.
  const std::string first = request.headers.at("authorization");
  sign(request, credentials, {"eu-central-1", "ec2"}, kSuiteTime);
  EXPECT_EQ(request.headers.at("authorization"), first);
}

TEST(SigV4, EncodesFormsAndBytes) {
  EXPECT_EQ(form_encode("a b+c/d=e&f~-_."), "a%20b%2Bc%2Fd%3De%26f~-_.");
  EXPECT_EQ(form_encode("\xC3\xBC\n"), "%C3%BC%0A");
  EXPECT_EQ(base64("hello"), "aGVsbG8=");
  EXPECT_EQ(base64_decoded("aGVsbG8="), "hello");
  EXPECT_EQ(base64_decoded("aGVsbG8"), "");
}

// --- settings
// ---------------------------------------------------------------------------------------------------------

TEST(AwsSections, ReadWhatTheAwsToolsRead) {
  const AwsSections read = parse_sections(
      "stray = 1\n[default]\nregion=eu-west-1 # ours\n[profile  dev]\r\nrole_arn = arn:x\r\ns3 =\n  nested = no\n"
      "aws_secret_access_key = a#b=c\n; comment\n[broken\nx=1\n");
  EXPECT_EQ(read.at("default").at("region"), "eu-west-1");
  EXPECT_EQ(read.at("profile  dev").at("role_arn"), "arn:x");
  EXPECT_EQ(read.at("profile  dev").at("aws_secret_access_key"), "a#b=c");
  EXPECT_FALSE(read.at("profile  dev").contains("nested"));
  EXPECT_EQ(read.size(), 2U);
}

class Chain : public ::testing::Test {
 protected:
  Chain() {
    variables_["AWS_CONFIG_FILE"] = dir_.path() + "/config";
    variables_["AWS_SHARED_CREDENTIALS_FILE"] = dir_.path() + "/credentials";
    variables_["AWS_REGION"] = "test-1";
    variables_["AWS_EC2_METADATA_DISABLED"] = "true";
  }
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::ofstream(dir_.path() + "/" + name) << text;
    chmod((dir_.path() + "/" + name).c_str(), mode);
  }
  AwsEnvironment environment() {
    return [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
  }
  Result<AwsCredentials> find(const std::string& profile = "") {
    auto settings = find_settings(environment(), "", profile);
    if (!settings.ok()) return settings.error();
    chain_ = std::make_unique<AwsCredentialsChain>(*settings, std::make_shared<HttpClient>(), clock_);
    return chain_->get(false);
  }
  InstancesDir dir_;
  std::map<std::string, std::string> variables_;
  std::shared_ptr<ManualClock> clock_ =
      std::make_shared<ManualClock>(std::chrono::floor<Duration>(std::chrono::system_clock::now()));
  std::unique_ptr<AwsCredentialsChain> chain_;
};

TEST_F(Chain, TakesTheEnvironmentFirstThenTheProfile) {
  write("credentials",
        "[default]\naws_access_key_id=A\naws_secret_access_key=B\n[dev]\naws_access_key_id=C\n"
        "aws_secret_access_key=D\naws_session_token=E\n");
  EXPECT_EQ(find()->access_key, "A");
  EXPECT_EQ(find("dev")->session_token, "E");
  variables_["AWS_PROFILE"] = "dev";
  EXPECT_EQ(find()->access_key, "C");
  variables_["AWS_ACCESS_KEY_ID"] = "K";
  variables_["AWS_SECRET_ACCESS_KEY"] = "S";
  EXPECT_EQ(find()->source, "environment");
}

TEST_F(Chain, SaysWhatIsMissing) {
  EXPECT_THAT(find().error().message, HasSubstr("no AWS credentials"));
  EXPECT_THAT(find("nobody").error().message, HasSubstr("profile 'nobody' stands neither in "));
  variables_.erase("AWS_REGION");
  EXPECT_THAT(find().error().message, HasSubstr("no region"));
  variables_["AWS_REGION"] = "eu west";
  EXPECT_THAT(find().error().message, HasSubstr("'eu west' is no region"));
  variables_["AWS_REGION"] = "test-1";
  variables_["AWS_ENDPOINT_URL_EC2"] = "http://ec2.example.com";
  EXPECT_THAT(find().error().message, HasSubstr("expected https; plain http only to loopback"));
}

TEST_F(Chain, RefusesFilesThatOthersMayWrite) {
  write("credentials", "[default]\naws_access_key_id=A\naws_secret_access_key=B\n", 0666);
  EXPECT_EQ(find().error().kind, ErrorKind::Denied);
}

TEST_F(Chain, RunsTheCredentialProcessAndRenewsBeforeTheEnd) {
  const std::string script = dir_.path() + "/make";
  write("make", "#!/bin/sh\necho x >>" + dir_.path() + "/count\ncat " + dir_.path() + "/json\n", 0700);
  write("config", "[default]\ncredential_process = " + script + "\n");
  const auto json = [&](Duration lives) {
    write("json",
          "{\"Version\": 1, \"AccessKeyId\": \"P\", \"SecretAccessKey\": \"Q\\u002f\", \"SessionToken\": \"T\", "
          "\"Expiration\": \"" +
              iso8601(std::chrono::floor<std::chrono::seconds>(clock_->now() + lives)) + "\"}");
  };
  const auto runs = [&] { return std::filesystem::file_size(dir_.path() + "/count") / 2; };
  json(1h);
  EXPECT_EQ(find()->secret_key, "Q/");
  EXPECT_EQ(chain_->get(false)->access_key, "P");
  EXPECT_EQ(runs(), 1U);
  clock_->advance(51min);  // nine minutes are left
  json(1h);
  EXPECT_TRUE(chain_->get(false).ok());
  EXPECT_EQ(runs(), 2U);
  // A renewal that fails: the old ones serve until their end, and not a moment longer.
  write("make", "#!/bin/sh\nexit 3\n", 0700);
  clock_->advance(55min);
  EXPECT_TRUE(chain_->get(false).ok());
  clock_->advance(6min);
  EXPECT_THAT(chain_->get(false).error().message, HasSubstr("ended with 3"));
}

TEST_F(Chain, AssumesRolesInAChain) {
  Ec2Double sts;
  variables_["AWS_ENDPOINT_URL_STS"] = sts.url();
  write("credentials", "[base]\naws_access_key_id=AKIADOUBLE\naws_secret_access_key=double-secret\n");
  write("config",
        "[profile base]\n[profile one]\nrole_arn=arn:one\nsource_profile=base\n[profile two]\n"
        "role_arn=arn:two\nsource_profile=one\n[profile loop]\nrole_arn=arn:l\nsource_profile=pool\n"
        "[profile pool]\nrole_arn=arn:p\nsource_profile=loop\n");
  const auto found = find("two");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->access_key, "ASIADOUBLE2");  // the second session was made with the first
  EXPECT_EQ(found->session_token, "session/token+2==");
  EXPECT_GT(found->expires_at, 0);
  EXPECT_THAT(find("loop").error().message, HasSubstr("roles in a chain"));
}

TEST_F(Chain, TakesAWebIdentityAContainersAndTheInstancesRole) {
  Ec2Double aws;
  variables_["AWS_ENDPOINT_URL"] = aws.url();
  write("token", "a-web-identity\n");
  variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = dir_.path() + "/token";
  variables_["AWS_ROLE_ARN"] = "arn:w";
  auto found = find();
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_THAT(found->source, HasSubstr("web identity"));
  variables_.erase("AWS_WEB_IDENTITY_TOKEN_FILE");
  variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = aws.url() + "/container/credentials";
  EXPECT_THAT(find().error().message, HasSubstr("container credentials: HTTP 401"));
  variables_["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "container-secret";
  EXPECT_EQ(find()->source, "container");
  variables_.erase("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  variables_.erase("AWS_EC2_METADATA_DISABLED");
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = aws.url() + "/";
  found = find();
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->source, "instance metadata");
}

TEST(FlatJson, ReadsOneObjectAndRefusesTheRest) {
  const auto read = parse_flat_json(R"({"a": "x\n\u00e4", "b": {"c": [1, {"d": 2}]}, "n": 12, "t": null})");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, (std::map<std::string, std::string>{{"a", "x\n\xC3\xA4"}, {"n", "12"}, {"t", "null"}}));
  for (const char* bad : {"", "[]", "{", "{\"a\"}", "{\"a\": \"\\q\"}", "{\"a\": 1} x", "{\"a\": \"\\u12\"}"})
    EXPECT_FALSE(parse_flat_json(bad).ok()) << bad;
  EXPECT_FALSE(parse_flat_json("{\"a\":" + std::string(1000, '[') + "}").ok());
}

// --- XML
// ----------------------------------------------------------------------------------------------------------------

TEST(AwsXml, ReadsTreesAndRefusesBombs) {
  auto read = XmlDocument::parse("<?xml version=\"1.0\"?><a><b><item>1 &amp; 2</item><item/></b></a>");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->root().child("b").all("item").size(), 2U);
  EXPECT_EQ(read->root().get("b/item"), "1 & 2");
  EXPECT_EQ(read->root().get("no/such/thing"), "");
  EXPECT_FALSE(XmlDocument::parse("<a><b></a>").ok());
  EXPECT_FALSE(XmlDocument::parse("<a><b>").ok());
  EXPECT_FALSE(XmlDocument::parse("").ok());
  EXPECT_FALSE(XmlDocument::parse("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>").ok());
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "<d>";
  EXPECT_THAT(XmlDocument::parse(deep).error().message, HasSubstr("deeper than 32"));
}

// Found by ./dev soak fuzz: pugixml took it for the end of a name.
TEST(AwsXml, ZeroBytesAreRefused) {
  EXPECT_FALSE(XmlDocument::parse(std::string("<a/\0--><b></b>", 15)).ok());
}

// Found by ./dev soak fuzz: tags that are none led the count of levels astray.
TEST(AwsXml, CommentsAndQuotesHideNoDepth) {
  for (const std::string_view hidden : {"<d><!-- </d> -->", "<d><![CDATA[</d>]]>", "<d e='/>'>", "<d><?e </d> ?>"}) {
    std::string deep, ends;
    for (int i = 0; i < 40; ++i) {
      deep += hidden;
      ends += "</d>";
    }
    const auto read = XmlDocument::parse(deep + ends);
    ASSERT_FALSE(read.ok()) << hidden;
    EXPECT_THAT(read.error().message, HasSubstr("deeper than 32")) << hidden;
  }
}

// --- errors and rates
// -----------------------------------------------------------------------------------------------------

TEST(Ec2Errors, EachCodeHasOneMeaning) {
  std::set<std::string_view> codes;
  for (const AwsErrorMeaning& row : ec2_error_table()) {
    EXPECT_TRUE(codes.insert(row.code).second) << row.code;
    EXPECT_FALSE(row.meaning.empty()) << row.code;
  }
  const auto judged = [](const char* code, int status, AwsCallClass kind) {
    return judge_ec2({code, "", ""}, status, kind);
  };
  using enum AwsCallClass;
  EXPECT_EQ(judged("RequestLimitExceeded", 503, Change), ErrorKind::Throttled);
  EXPECT_EQ(judged("Server.InsufficientInstanceCapacity", 500, Change), ErrorKind::NoCapacity);
  EXPECT_EQ(judged("InternalError", 500, Change), ErrorKind::Unknown);  // it may have launched
  EXPECT_EQ(judged("InternalError", 500, Read), ErrorKind::Unavailable);
  EXPECT_EQ(judged("InvalidAMIID.NotFound", 400, Change), ErrorKind::Invalid);
  EXPECT_EQ(judged("UnauthorizedOperation", 403, Change), ErrorKind::Denied);
  EXPECT_EQ(judged("", 502, Change), ErrorKind::Unknown);
  EXPECT_EQ(judged("", 302, Read), ErrorKind::Unavailable);
}

TEST(RateBucket, LetsABurstGoAndSpreadsTheRest) {
  RateBucket bucket(10, 3);
  const Duration now = 1h;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.reserve(now), Duration{0});
  EXPECT_EQ(bucket.reserve(now), 100ms);
  EXPECT_EQ(bucket.reserve(now), 200ms);
  EXPECT_EQ(bucket.reserve(now + 1s), Duration{0});  // 2 owed, 10 came back, at most 3 kept
}

TEST(CheckUrl, WantsHttpsAwayFromHome) {
  for (const char* good : {"https://ec2.eu-west-1.amazonaws.com", "http://127.0.0.1:5000/", "http://[::1]:80/x",
                           "http://169.254.169.254/latest", "http://localhost:1"})
    EXPECT_TRUE(check_url(good).ok()) << good;
  for (const char* bad : {"", "ec2", "http://10.0.0.1/", "http://127.0.0.1.evil.example/", "https://a@b/", "ftp://x/",
                          "https://a b/", "file:///etc/passwd"})
    EXPECT_FALSE(check_url(bad).ok()) << bad;
}

}  // namespace
}  // namespace escala
