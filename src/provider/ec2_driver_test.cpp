// The EC2 provider against its double: what the contract does not ask.
#include "provider/ec2_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>

#include "provider/test_ec2.h"

namespace escala {
namespace {

using ::testing::HasSubstr;

class Ec2Test : public ::testing::Test {
 protected:
  ProviderRequest launch_request(const std::string& token, int count = 1) {
    ProviderRequest out;
    out.kind = RequestKind::Launch;
    out.token = Token(token);
    out.group = GroupName("web");
    out.cluster = "c1";
    out.zone = ZoneName("test-1a");
    out.spec = ec2_spec();
    out.count = count;
    return out;
  }
  std::vector<ProviderInstance> all() {
    ProviderRequest request;
    request.cluster = "c1";
    Completion done = driver_.carry_out(request);
    EXPECT_TRUE(done.outcome.ok()) << (done.outcome.ok() ? "" : done.outcome.error().message);
    return std::move(done.instances);
  }
  ErrorKind kind_of(const Completion& done) { return done.outcome.ok() ? ErrorKind::Bug : done.outcome.error().kind; }

  Ec2Double ec2_;
  Ec2DriverOptions options_ = driver_options(ec2_.url());
  Ec2Driver driver_{options_};
};

TEST_F(Ec2Test, AsksForEverythingTheSpecNames) {
  ProviderRequest request = launch_request("t1");
  Ec2Spec& spec = request.spec.ec2;
  spec.key_name = "ops";
  spec.security_groups = {"sg-1", "sg-2"};
  spec.instance_profile = "arn:aws:iam::1:instance-profile/web";
  spec.block_devices.push_back(
      {.device_name = "/dev/xvda", .volume_type = "gp3", .volume_size = 20, .encrypted = true});
  spec.ebs_optimized = true;
  spec.monitoring = false;
  spec.spot = true;
  spec.spot_price = "0.01";
  spec.tenancy = "dedicated";
  spec.placement_group = "close";
  spec.subnets = {"subnet-00000001", "subnet-00000000"};
  spec.user_data = "#!/bin/sh\necho hello\n";
  spec.agent = false;
  request.tags = {{"team", "a & b", true}};
  const Completion done = driver_.carry_out(request);
  ASSERT_TRUE(done.outcome.ok()) << done.outcome.error().message;
  EXPECT_EQ(done.instances[0].zone, ZoneName("test-1a"));
  EXPECT_EQ(done.instances[0].instance_type, "t3.micro");
  const std::string state = ec2_.state();
  for (const char* wanted :
       {R"("KeyName": "ops")", R"("SecurityGroupId.2": "sg-2")", R"("SubnetId": "subnet-00000000")",
        R"("IamInstanceProfile.Arn": "arn:aws:iam::1:instance-profile/web")",
        R"("BlockDeviceMapping.1.Ebs.VolumeType": "gp3")", R"("BlockDeviceMapping.1.Ebs.Encrypted": "true")",
        R"("EbsOptimized": "true")", R"("Monitoring.Enabled": "false")",
        R"("InstanceMarketOptions.SpotOptions.MaxPrice": "0.01")", R"("Placement.Tenancy": "dedicated")",
        R"("Placement.GroupName": "close")", R"("MetadataOptions.HttpTokens": "required")", R"("team": "a & b")",
        R"("escala:intent": "t1")", R"("escala:group": "web")", R"("ClientToken": "t1")"})
    EXPECT_THAT(state, HasSubstr(wanted));
  EXPECT_THAT(state, HasSubstr(base64(spec.user_data)));
}

TEST_F(Ec2Test, PinsTemplatesAndLaunchesFromThem) {
  ec2_.tell("template", R"({"id": "lt-1", "name": "web", "data": {"ImageId": "ami-11", "InstanceType": "m5.large"}})");
  ec2_.tell("template", R"({"id": "lt-1", "name": "web", "data": {"ImageId": "ami-22", "InstanceType": "c5.large"}})");
  EXPECT_EQ(driver_.pin("", "web", "$Latest")->version, 2);
  EXPECT_EQ(driver_.pin("lt-1", "", "")->version, 1);
  EXPECT_EQ(driver_.pin("lt-1", "", "2")->image_id, "ami-22");
  EXPECT_FALSE(driver_.pin("", "nobody", "").ok());
  ec2_.tell("template", R"({"id": "lt-2", "name": "nic", "data": {"ImageId": "ami-33", "InstanceType": "c5.large",
      "NetworkInterfaces": [{"Groups": ["sg-1", "sg-2"], "AssociatePublicIpAddress": true}],
      "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.02"}}}})");
  const auto found = driver_.pin("", "nic", "1");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->network_interfaces, 1U);
  EXPECT_EQ(found->security_groups, (std::vector<std::string>{"sg-1", "sg-2"}));
  EXPECT_EQ(found->public_ip, true);
  EXPECT_TRUE(found->spot);
  EXPECT_EQ(found->spot_price, "0.02");
  ProviderRequest request = launch_request("t1");
  request.spec.image_id = request.spec.instance_type = "";
  request.spec.ec2.launch_template_id = "lt-1";
  request.spec.ec2.launch_template_version = "2";
  const Completion done = driver_.carry_out(request);
  ASSERT_TRUE(done.outcome.ok()) << done.outcome.error().message;
  EXPECT_EQ(done.instances[0].instance_type, "c5.large");
  EXPECT_EQ(ec2_.count("MetadataOptions"), 0);  // the template's own say
}

TEST_F(Ec2Test, TakesAsManyAsThereAre) {
  ec2_.set(R"({"capacity": {"test-1a": 2}})");
  EXPECT_EQ(driver_.carry_out(launch_request("t1", 5)).instances.size(), 2U);
  EXPECT_EQ(kind_of(driver_.carry_out(launch_request("t2"))), ErrorKind::NoCapacity);
}

TEST_F(Ec2Test, FindsWhatItLaunchedWhenTheAnswerWasLost) {
  ec2_.set(R"({"lose_answers": 1})");  // within the call: its retry has the same ClientToken
  EXPECT_EQ(driver_.carry_out(launch_request("t1", 2)).instances.size(), 2U);
  ec2_.set(R"({"lose_answers": 5})");
  ProviderRequest request = launch_request("t2", 2);
  EXPECT_EQ(kind_of(driver_.carry_out(request)), ErrorKind::Unknown);
  // Another process, later; the cloud does not know client tokens: the tag tells.
  ec2_.set(R"({"lose_answers": 0, "honour_tokens": false})");
  Ec2Driver next(options_);
  request.again = true;
  EXPECT_EQ(next.carry_out(request).instances.size(), 2U);
  EXPECT_EQ(all().size(), 4U);
}

TEST_F(Ec2Test, NeverLaunchesTwiceWhenOtherParametersComeWithTheToken) {
  ASSERT_TRUE(driver_.carry_out(launch_request("t1")).outcome.ok());
  ProviderRequest request = launch_request("t1");
  request.spec.instance_type = "m5.large";  // an upgrade changed what user data says, for example
  const Completion done = driver_.carry_out(request);
  ASSERT_TRUE(done.outcome.ok()) << done.outcome.error().message;
  EXPECT_EQ(done.instances[0].instance_type, "t3.micro");
  EXPECT_EQ(all().size(), 1U);
}

TEST_F(Ec2Test, ReadsEveryPageAlsoWhenTheyShift) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(driver_.carry_out(launch_request("t" + std::to_string(i), 9)).outcome.ok());
  ec2_.set(R"({"page_size": 5})");
  EXPECT_EQ(all().size(), 27U);
  ec2_.set(R"({"shift_pages": true})");
  const auto seen = all();
  std::set<InstanceId> ids;
  for (const auto& instance : seen) ids.insert(instance.id);
  EXPECT_EQ(ids.size(), 27U);
  EXPECT_EQ(seen.size(), 27U);  // nobody twice
}

TEST_F(Ec2Test, AListThatCannotBeReadIsNoList) {
  ASSERT_TRUE(driver_.carry_out(launch_request("t1", 3)).outcome.ok());
  ProviderRequest request;
  request.cluster = "c1";
  for (const char* fault :
       {R"({"malformed": 9})", R"({"malformed": 0, "truncated": 9})", R"({"truncated": 0, "throttle": 1.0})"}) {
    ec2_.set(fault);
    EXPECT_FALSE(driver_.carry_out(request).outcome.ok()) << fault;
  }
  ec2_.set(R"({"throttle": 0})");
  EXPECT_EQ(all().size(), 3U);
}

TEST_F(Ec2Test, ALaunchWhoseAnswerCannotBeReadIsUnknownNotFailed) {
  ASSERT_EQ(driver_.zones().size(), 3U);  // known before the answers break
  ec2_.set(R"({"truncated": 9})");
  ProviderRequest request = launch_request("t1", 2);
  EXPECT_EQ(kind_of(driver_.carry_out(request)), ErrorKind::Unknown);
  ec2_.set(R"({"truncated": 0})");
  request.again = true;
  EXPECT_EQ(driver_.carry_out(request).instances.size(), 2U);
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(Ec2Test, CorrectsForAClockThatIsWrong) {
  for (const char* clock : {R"({"clock": 3600})", R"({"clock": -7200})", R"({"clock": 0})"}) {
    ec2_.set(clock);
    EXPECT_TRUE(driver_.carry_out(launch_request(std::string("t") + clock[10])).outcome.ok()) << clock;
  }
}

TEST_F(Ec2Test, FetchesOtherCredentialsWhenTheseHaveEnded) {
  const auto held = std::static_pointer_cast<FixedCredentials>(options_.credentials);
  ec2_.tell("expire", "{}");
  const Completion done = driver_.carry_out(launch_request("t1"));
  EXPECT_EQ(kind_of(done), ErrorKind::Denied);  // the source has no others
  EXPECT_EQ(held->refreshes, 1);
  EXPECT_THAT(done.outcome.error().message, HasSubstr("ExpiredToken"));
}

TEST_F(Ec2Test, TerminatesOnlyWhatCarriesOurTag) {
  ProviderRequest foreign = launch_request("t1");
  foreign.cluster = "another";
  const auto made = Ec2Driver(options_).carry_out(foreign).instances;
  ASSERT_EQ(made.size(), 1U);
  ProviderRequest end = launch_request("end");
  end.kind = RequestKind::Terminate;
  end.instance = made[0].id;
  EXPECT_EQ(kind_of(driver_.carry_out(end)), ErrorKind::Denied);
  end.cluster = "another";
  EXPECT_TRUE(Ec2Driver(options_).carry_out(end).outcome.ok());
  EXPECT_EQ(ec2_.count("\"state\": \"terminated\""), 1);
}

TEST_F(Ec2Test, StopsAndStartsWhatCarriesOurTag) {
  ec2_.set(R"({"boot": 0, "shutdown": 0})");
  ProviderRequest what = launch_request("t1");
  what.spec.ec2.hibernation = true;
  const auto made = driver_.carry_out(what).instances;
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(ec2_.count("\"HibernationOptions.Configured\": \"true\""), 1);
  const auto switched = [&](RequestKind kind, bool hibernate = false) {
    ProviderRequest request = launch_request("switch");
    request.kind = kind;
    request.instance = made[0].id;
    request.hibernate = hibernate;
    const Completion done = driver_.carry_out(request);
    EXPECT_TRUE(done.outcome.ok()) << done.outcome.error().message;
    return done.instances.empty() ? ProviderState::Unknown : done.instances.front().state;
  };
  for (int twice = 0; twice < 2; ++twice) EXPECT_EQ(switched(RequestKind::Stop), ProviderState::Stopped);
  EXPECT_EQ(all().front().state, ProviderState::Stopped);
  for (int twice = 0; twice < 2; ++twice) EXPECT_EQ(switched(RequestKind::Start), ProviderState::Running);
  EXPECT_EQ(all().front().state, ProviderState::Running);
  EXPECT_EQ(switched(RequestKind::Stop, true), ProviderState::Stopped);

  ProviderRequest foreign = launch_request("t2");
  foreign.cluster = "another";
  const auto theirs = Ec2Driver(options_).carry_out(foreign).instances;
  ProviderRequest stop = launch_request("stop");
  stop.kind = RequestKind::Stop;
  stop.instance = theirs.at(0).id;
  const Completion refused = driver_.carry_out(stop);
  EXPECT_EQ(kind_of(refused), ErrorKind::Denied);
  EXPECT_NE(refused.outcome.error().message.find("not ours to stop"), std::string::npos);
}

TEST_F(Ec2Test, TagsThemselvesWhereLaunchesCannot) {
  ec2_.set(R"({"honour_tags": false})");
  ASSERT_TRUE(driver_.carry_out(launch_request("t1", 2)).outcome.ok());
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(Ec2Test, MixedGroupsFailOverToOtherTypesAndKeepTheirShares) {
  ProviderRequest request = launch_request("t1", 6);
  request.spec.ec2.mixed = true;
  request.spec.ec2.overrides = {{"m5.large"}, {"c5.large"}, {"t3.micro"}};
  request.spec.ec2.on_demand_base = 2;
  request.spec.ec2.on_demand_percent = 50;  // 2 + 2 of the other 4
  ec2_.set(R"({"capacity": {"m5.large": 1, "c5.large": 3}})");
  const Completion done = driver_.carry_out(request);
  ASSERT_TRUE(done.outcome.ok()) << done.outcome.error().message;
  EXPECT_EQ(done.instances.size(), 6U);
  EXPECT_EQ(ec2_.count("\"spot\": true"), 2);
  EXPECT_EQ(ec2_.count("\"type\": \"m5.large\""), 1);
  EXPECT_EQ(ec2_.count("\"type\": \"c5.large\""), 3);
  EXPECT_EQ(ec2_.count("\"type\": \"t3.micro\""), 2);
  // Asked again: the same six, whatever is free by now.
  ec2_.set(R"({"capacity": {}})");
  request.again = true;
  EXPECT_EQ(driver_.carry_out(request).instances.size(), 6U);
  EXPECT_EQ(all().size(), 6U);
}

TEST_F(Ec2Test, LaunchesAsManyAsTheUnitsTakeWhereTypesHaveWeights) {
  ProviderRequest request = launch_request("t1", 20);
  request.spec.ec2.mixed = true;
  request.spec.ec2.overrides = {{"m5.4xlarge"}, {"m5.large"}};
  request.spec.weights = {{"m5.4xlarge", 8}, {"m5.large", 1}};
  ec2_.set(R"({"capacity": {"m5.4xlarge": 2}})");
  ASSERT_TRUE(driver_.carry_out(request).outcome.ok());
  EXPECT_EQ(ec2_.count("\"type\": \"m5.4xlarge\""), 2);  // of the three that it takes
  EXPECT_EQ(ec2_.count("\"type\": \"m5.large\""), 4);    // the rest, one by one
}

TEST_F(Ec2Test, SharesOfTheMarketsAreOfUnits) {
  ProviderRequest request = launch_request("t1", 10);
  request.spec.ec2.mixed = true;
  request.spec.ec2.overrides = {{"m5.xlarge"}};
  request.spec.weights = {{"m5.xlarge", 4}};
  request.spec.ec2.on_demand_base = 6;
  request.spec.ec2.on_demand_percent = 0;  // six on demand take two instances: eight; the other two units one of Spot
  ASSERT_TRUE(driver_.carry_out(request).outcome.ok());
  EXPECT_EQ(all().size(), 3U);
  EXPECT_EQ(ec2_.count("\"spot\": true"), 1);
  request = launch_request("t2", 201);
  request.spec.weights = {{"m5.xlarge", 4}, {"m5.large", 2}};
  EXPECT_NE(driver_.carry_out(request).outcome.error().message.find("expected 1 to 200"), std::string::npos);
}

TEST(Ec2Offers, ShareOfOnDemandIsRoundedUp) {
  Ec2Spec spec;
  EXPECT_EQ(Ec2Offers::on_demand_share(spec, 0, 0, 4), 4);
  spec.spot = true;
  EXPECT_EQ(Ec2Offers::on_demand_share(spec, 0, 0, 4), 0);
  spec.mixed = true;
  spec.on_demand_base = 1;
  spec.on_demand_percent = 25;
  EXPECT_EQ(Ec2Offers::on_demand_share(spec, 0, 0, 5), 2);  // 1 + 25 % of 4
  EXPECT_EQ(Ec2Offers::on_demand_share(spec, 2, 3, 1), 1);  // 1 + 25 % of 5 is 2.25: one more
  EXPECT_EQ(Ec2Offers::on_demand_share(spec, 3, 3, 1), 0);
  spec.on_demand_percent = 0;
  EXPECT_EQ(Ec2Offers::on_demand_share(spec, 0, 0, 3), 1);
}

TEST(Ec2Offers, AFailedOfferWaitsLongerEachTime) {
  Ec2Offers offers(1);
  LaunchSpec spec = ec2_spec();
  spec.ec2.overrides = {{"a"}, {"b"}};
  const ZoneName zone("z");
  TimePoint now{1h};
  const auto first = [&] { return offers.plan(spec, zone, false, now).front(); };
  EXPECT_EQ(first().instance_type, "a");
  offers.failed(zone, first(), now);
  EXPECT_EQ(first().instance_type, "b");
  now += kOfferWaitFirst;  // the wait was 15 to 30 s
  EXPECT_EQ(first().instance_type, "a");
  offers.failed(zone, first(), now);
  now += kOfferWaitFirst - 1s;  // now 30 to 60 s
  EXPECT_EQ(first().instance_type, "b");
  now += kOfferWaitFirst + 1s;
  offers.worked(zone, first());
  EXPECT_EQ(first().instance_type, "a");
}

// --- user data
// --------------------------------------------------------------------------------------------------------

std::string gunzip(const std::string& packed) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  std::string out(1 << 20, '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data()));  // NOLINT
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

const BootstrapSettings kBootstrap{"10.0.0.5:7770", "http://10.0.0.5:8781/agent", std::string(64, 'a'), ""};

TEST(Bootstrap, PutsTheUsersOwnDataUnchangedAfterOurs) {
  const std::string own = "#cloud-config\npackages: [nginx]\n";
  const auto data = bootstrap_user_data(kBootstrap, {"web blue$", "token", {"--series", "it's"}}, own);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(*data, *bootstrap_user_data(kBootstrap, {"web blue$", "token", {"--series", "it's"}},
                                        own));  // the same bytes, always
  const std::string mime = gunzip(*data);
  EXPECT_LT(mime.find("ESCALA_JOIN_TOKEN=token"), mime.find(own));
  EXPECT_THAT(mime, HasSubstr("ESCALA_GROUP='web blue$'"));
  EXPECT_THAT(mime, HasSubstr("'--series' 'it'\\''s'"));
  EXPECT_THAT(mime, HasSubstr("Content-Type: text/cloud-config"));
  EXPECT_THAT(mime, HasSubstr("\n\n" + own));
  EXPECT_LT(data->size(), 4'000U);
}

TEST(Bootstrap, RefusesWhatWouldNotFitOrCouldNotBeQuoted) {
  std::string noise;
  for (int i = 0; i < 1000; ++i) noise += sha256(std::to_string(i));
  EXPECT_THAT(bootstrap_user_data(kBootstrap, {"web", "t", {}}, noise).error().message, HasSubstr("EC2 takes 16384"));
  EXPECT_FALSE(bootstrap_user_data(kBootstrap, {"web", "t", {"a\nb"}}, "").ok());
  EXPECT_FALSE(bootstrap_user_data(kBootstrap, {"web", "t;reboot", {}}, "").ok());
  BootstrapSettings bad = kBootstrap;
  bad.agent_url = "http://x/$(reboot)";
  EXPECT_FALSE(bootstrap_user_data(bad, {"web", "t", {}}, "").ok());
}

}  // namespace
}  // namespace escala
