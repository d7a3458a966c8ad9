// What HAProxy says, read; the real one answers in tests/e2e/traffic.py.
#include "traffic/haproxy.h"

#include <gtest/gtest.h>

#include "traffic/keeper.h"

namespace escala::traffic {
namespace {

const std::string kHead = "# pxname,svname,scur,status,check_status,addr,\n";

TEST(Haproxy, ReadsTheServersOfOneBackend) {
  const auto servers = parse_stat(kHead +
                                      "web,FRONTEND,0,OPEN,,,\n"
                                      "api,BACKEND,0,UP,,,\n"
                                      "api,a,3,UP,* L7OK,127.0.0.1:1,\n"
                                      "api,b,0,DOWN,L4CON,127.0.0.1:2,\n"
                                      "api,c,0,UP 1/3,INI,127.0.0.1:3,\n"
                                      "api,d,1,DRAIN,L4OK,127.0.0.1:4,\n"
                                      "api,e,0,MAINT,,127.0.0.1:5,\n"
                                      "api,f,0,no check,,127.0.0.1:6,\n"
                                      "other,g,0,UP,L4OK,127.0.0.1:7,\n",
                                  "api");
  ASSERT_TRUE(servers.ok());
  ASSERT_EQ(servers->size(), 6u);
  EXPECT_EQ((*servers)[0].state, ServerState::Up);
  EXPECT_EQ((*servers)[0].sessions, 3);
  EXPECT_EQ((*servers)[0].address, "127.0.0.1:1");
  EXPECT_EQ((*servers)[1].state, ServerState::Down);
  EXPECT_EQ((*servers)[2].state, ServerState::Unproven) << "a check that has not run proves nothing";
  EXPECT_EQ((*servers)[3].state, ServerState::Draining);
  EXPECT_EQ((*servers)[4].state, ServerState::Maintenance);
  EXPECT_EQ((*servers)[5].state, ServerState::Up);
}

TEST(Haproxy, ABackendThatIsNotThereIsNamed) {
  for (const std::string& answer :
       {kHead, std::string(), std::string("Unknown command.\n"), std::string(70'000, ',')}) {
    const auto servers = parse_stat(answer, "api");
    ASSERT_FALSE(servers.ok());
    EXPECT_EQ(servers.error().kind, ErrorKind::NotFound);
    EXPECT_NE(servers.error().message.find("'api'"), std::string::npos);
  }
}

TEST(Haproxy, ASocketThatIsNotThereIsUnavailable) {
  const auto servers = Haproxy("/nowhere/haproxy.sock").servers("api");
  ASSERT_FALSE(servers.ok());
  EXPECT_EQ(servers.error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(Haproxy(std::string(200, 'x')).servers("api").error().kind, ErrorKind::Invalid);
}

TEST(Keeper, ATargetGroupsNameIsItsBackend) {
  EXPECT_EQ(backend_of({"elb", "web"}), "web");
  EXPECT_EQ(backend_of({"elbv2", "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/api/0123"}), "api");
  EXPECT_EQ(backend_of({"elbv2", "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/api/0123"}),
            "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/api/0123");
}

}  // namespace
}  // namespace escala::traffic
