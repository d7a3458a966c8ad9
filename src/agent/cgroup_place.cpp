#include "agent/cgroup_place.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "agent/text_file.h"

namespace escala {
namespace {

struct Mount {
  bool v2 = false;
  std::string root, point, options;  // root: which group of the hierarchy is mounted at point
};
struct Membership {
  std::string controllers;  // "cpu,cpuacct"; empty: v2
  std::string path;
};

bool lists(std::string_view comma_separated, std::string_view word) {
  while (!comma_separated.empty()) {
    const size_t comma = comma_separated.find(',');
    if (comma_separated.substr(0, comma) == word) return true;
    comma_separated.remove_prefix(comma == std::string_view::npos ? comma_separated.size() : comma + 1);
  }
  return false;
}

// "36 35 0:30 ROOT POINT rw,relatime shared:9 - FSTYPE SOURCE OPTIONS"
std::vector<Mount> read_mounts(const std::string& root) {
  std::vector<Mount> mounts;
  KeptFile file(root + "/proc/self/mountinfo");
  std::string_view rest = file.read().value_or("");
  for (std::string_view line; take_line(rest, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view left = line.substr(0, dash), right = line.substr(dash + 3);
    const std::string_view type = take_word(right);
    if (type != "cgroup" && type != "cgroup2") continue;
    take_word(right);
    for (int i = 0; i < 3; ++i) take_word(left);
    Mount mount;
    mount.v2 = type == "cgroup2";
    mount.root = take_word(left);
    mount.point = take_word(left);
    mount.options = take_word(right);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::vector<Membership> read_memberships(const std::string& root) {
  std::vector<Membership> memberships;
  KeptFile file(root + "/proc/self/cgroup");
  std::string_view rest = file.read().value_or("");
  for (std::string_view line; take_line(rest, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    memberships.push_back(
        {std::string(line.substr(first + 1, second - first - 1)), std::string(line.substr(second + 1))});
  }
  return memberships;
}

CgroupPath make_path(const std::string& root, const Mount& mount, std::string_view group) {
  // Inside a container without a cgroup namespace, the mount shows only our group: its root is our path, and our files
  // stand right at the mount point.
  std::string below;
  if (mount.root == "/") {
    if (group != "/" && !group.starts_with("/..")) below = group;
  } else if (group.starts_with(mount.root) && (group.size() == mount.root.size() || group[mount.root.size()] == '/')) {
    below = group.substr(mount.root.size());
  }
  CgroupPath path;
  path.v2 = mount.v2;
  for (;;) {
    path.directories.push_back(root + mount.point + below);
    const size_t slash = below.rfind('/');
    if (below.empty() || slash == std::string::npos || path.directories.size() == kMaxCgroupDepth) return path;
    below.resize(slash);
  }
}

}  // namespace

CgroupPlace find_cgroups(const std::string& root) {
  const std::vector<Mount> mounts = read_mounts(root);
  const std::vector<Membership> memberships = read_memberships(root);
  const auto find = [&](std::string_view controller) -> CgroupPath {
    for (const Membership& member : memberships) {
      if (!lists(member.controllers, controller)) continue;
      for (const Mount& mount : mounts)
        if (!mount.v2 && lists(mount.options, controller)) return make_path(root, mount, member.path);
    }
    for (const Membership& member : memberships) {
      if (!member.controllers.empty()) continue;
      for (const Mount& mount : mounts)
        if (mount.v2) return make_path(root, mount, member.path);
    }
    return {};
  };
  CgroupPlace place{find("cpu"), find("cpuacct"), find("cpuset"), find("memory"), find("blkio")};
  if (place.cpu.v2) place.cpuacct = place.cpu;
  return place;
}

}  // namespace escala
