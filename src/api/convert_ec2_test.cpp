#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/convert.h"

namespace escala::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

LaunchConfiguration image() {
  LaunchConfiguration out;
  out.set_launchconfigurationname("web-1");
  out.set_imageid("ami-1");
  out.set_instancetype("t3.micro");
  return out;
}
state::LaunchSpec converted(const LaunchConfiguration& from, Faults& faults) {
  return to_spec(from, TimePoint{}, "", faults);
}
std::string fault_of(const LaunchConfiguration& from) {
  Faults faults;
  (void)converted(from, faults);
  return faults.empty() ? "" : faults.front().what;
}

TEST(ConvertEc2, CarriesWhatEc2IsAskedFor) {
  LaunchConfiguration from = image();
  from.set_userdata("IyEvYmluL3NoCg==");
  from.set_spotprice("0.01");
  from.mutable_metadataoptions()->set_httptokens("optional");
  BlockDeviceMapping& device = *from.add_blockdevicemappings();
  device.set_devicename("/dev/xvda");
  device.mutable_ebs()->set_volumesize(20);
  from.mutable_ec2()->add_instancetypes("m5.large");
  Faults faults;
  const state::LaunchSpec spec = converted(from, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(spec.provider(), "ec2");
  EXPECT_EQ(spec.ec2().user_data(), "#!/bin/sh\n");
  EXPECT_TRUE(spec.ec2().spot() && spec.ec2().agent());
  EXPECT_FALSE(spec.ec2().mixed());
  EXPECT_EQ(spec.ec2().block_devices(0).volume_size(), 20);
  EXPECT_EQ(spec.ec2().override_types(0), "m5.large");
  EXPECT_EQ(spec.ec2().metadata_tokens(), "optional");
}

TEST(ConvertEc2, RefusesWhatCannotBeLaunched) {
  EXPECT_THAT(fault_of({}), HasSubstr("nothing to launch"));
  LaunchConfiguration from = image();
  from.set_userdata("no base64");
  EXPECT_THAT(fault_of(from), HasSubstr("UserData: is not base64"));
  from = image();
  from.clear_instancetype();
  EXPECT_THAT(fault_of(from), HasSubstr("InstanceType"));
  from = image();
  from.mutable_ec2()->set_launchtemplatename("web");
  from.mutable_ec2()->set_launchtemplateversion("$Latest");
  EXPECT_THAT(fault_of(from), HasSubstr("expected the number of a version"));
  from = image();
  from.mutable_ec2()->set_spot(true);
  from.mutable_ec2()->set_ondemandbasecapacity(1);
  EXPECT_THAT(fault_of(from), HasSubstr("the share alone"));
}

TEST(ConvertEc2, BalancesOverSubnetsWhereNoZoneIsNamed) {
  Faults faults;
  const state::LaunchSpec spec = converted(image(), faults);
  Group group;
  group.zones = {ZoneName("a")};
  place_in_subnets(spec, "subnet-1, subnet-2,subnet-1", true, group);
  EXPECT_THAT(group.zones, ElementsAre(ZoneName("a")));
  place_in_subnets(spec, "subnet-1, subnet-2,subnet-1", false, group);
  EXPECT_THAT(group.zones, ElementsAre(ZoneName("subnet-1"), ZoneName("subnet-2")));
  place_in_subnets(state::LaunchSpec(), "subnet-3", false, group);  // of processes
  EXPECT_EQ(group.zones.size(), 2U);
}

}  // namespace
}  // namespace escala::api
