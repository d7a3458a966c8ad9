// A launch template's data as a launch configuration, and one version's data over another's.
#include "api/convert.h"
#include "api/ec2_words.h"
#include "api/templates.h"

namespace escala::api {

LaunchConfiguration as_configuration(const LaunchTemplateData& data) {
  LaunchConfiguration to;
  if (data.has_imageid()) to.set_imageid(data.imageid());
  if (data.has_instancetype()) to.set_instancetype(data.instancetype());
  if (data.has_userdata()) to.set_userdata(data.userdata());
  if (data.has_keyname()) to.set_keyname(data.keyname());
  if (data.has_ebsoptimized()) to.set_ebsoptimized(data.ebsoptimized());
  for (const std::string& group : data.securitygroupids()) to.add_securitygroups(group);
  for (const std::string& group : data.securitygroups()) to.add_securitygroups(group);
  for (const NetworkInterfaceSpecification& each : data.networkinterfaces()) {
    for (const std::string& group : each.groups()) to.add_securitygroups(group);
    if (each.has_associatepublicipaddress()) to.set_associatepublicipaddress(each.associatepublicipaddress());
  }
  const IamInstanceProfileSpecification& profile = data.iaminstanceprofile();
  if (data.has_iaminstanceprofile()) to.set_iaminstanceprofile(profile.has_arn() ? profile.arn() : profile.name());
  for (const Ec2BlockDeviceMapping& from : data.blockdevicemappings()) {
    BlockDeviceMapping& device = *to.add_blockdevicemappings();
    device.set_devicename(from.devicename());
    if (from.has_virtualname()) device.set_virtualname(from.virtualname());
    if (from.has_nodevice()) device.set_nodevice(true);
    if (!from.has_ebs()) continue;
    const Ec2EbsVolume& volume = from.ebs();
    EbsVolume& ebs = *device.mutable_ebs();
    if (volume.has_encrypted()) ebs.set_encrypted(volume.encrypted());
    if (volume.has_deleteontermination()) ebs.set_deleteontermination(volume.deleteontermination());
    if (volume.has_iops()) ebs.set_iops(volume.iops());
    if (volume.has_snapshotid()) ebs.set_snapshotid(volume.snapshotid());
    if (volume.has_volumesize()) ebs.set_volumesize(volume.volumesize());
    if (volume.has_volumetype()) ebs.set_volumetype(volume.volumetype());
    if (volume.has_throughput()) ebs.set_throughput(volume.throughput());
  }
  if (data.placement().has_tenancy()) to.set_placementtenancy(data.placement().tenancy());
  if (data.placement().has_groupname()) to.mutable_ec2()->set_placementgroup(data.placement().groupname());
  if (data.hibernationoptions().configured()) to.mutable_ec2()->set_hibernation(true);
  if (data.has_instancemarketoptions()) {
    to.mutable_ec2()->set_spot(true);
    const SpotMarketOptions& spot = data.instancemarketoptions().spotoptions();
    if (spot.has_maxprice()) to.set_spotprice(spot.maxprice());
  }
  if (data.has_metadataoptions()) {
    const MetadataOptionsSpecification& from = data.metadataoptions();
    InstanceMetadataOptions& options = *to.mutable_metadataoptions();
    if (from.has_httptokens()) options.set_httptokens(from.httptokens());
    if (from.has_httpputresponsehoplimit()) options.set_httpputresponsehoplimit(from.httpputresponsehoplimit());
    if (from.has_httpendpoint()) options.set_httpendpoint(from.httpendpoint());
  }
  return to;
}

void overlay(const google::protobuf::Message& newer, google::protobuf::Message& base) {
  const auto* reflection = newer.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> set;
  reflection->ListFields(newer, &set);
  // A parameter that is given replaces the source's as a whole, lists and structures too.
  for (const auto* field : set) reflection->ClearField(&base, field);
  base.MergeFrom(newer);
}

}  // namespace escala::api
