// Whole requests, from the head to the answer, over a store in memory: every face, every operation. Whatever was asked,
// the answer is well-formed, and nothing is a fault of ours.
#include "api.h"
#include "api/gate.h"
#include "api/json_reader.h"
#include "store/memory_store.h"

namespace escala::fuzz {
namespace {

std::string form(const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" + body;
}
std::string json(const std::string& operation, const std::string& body) {
  return "POST /v1/" + operation + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n" + body;
}
std::string metrics(const std::string& operation, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\n"
         "X-Amz-Target: GraniteServiceVersion20100801." +
         operation + "\r\n\r\n" + body;
}

Seeds seeds() {
  const std::string group =
      R"("AutoScalingGroupName":"web","MinSize":1,"MaxSize":4,"AvailabilityZones":["a"],"LaunchConfigurationName":"l")";
  const std::string range = R"("StartTime":1795431600,"EndTime":1795435200)";
  return {
      "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
      form("Action=CreateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName=g&MinSize=0&MaxSize=4"
           "&LaunchConfigurationName=l&AvailabilityZones.member.1=a&Tags.member.1.Key=k&Tags.member.1.Value=v"),
      form("Action=DescribeAutoScalingGroups&Version=2011-01-01&MaxRecords=1"),
      form("Action=DescribeAlarms&Version=2010-08-01"),
      form("Action=DescribeLaunchTemplates&Version=2016-11-15&LaunchTemplateName.1=t"),
      form("Action=Nothing&Version=2011-01-01"),
      json("CreateAutoScalingGroup", "{" + group + "}"),
      json("PutScalingPolicy",
           R"({"AutoScalingGroupName":"web","PolicyName":"p","PolicyType":"StepScaling","AdjustmentType":)"
           R"("ChangeInCapacity","StepAdjustments":[{"MetricIntervalLowerBound":0,"ScalingAdjustment":1}]})"),
      json("PutScheduledUpdateGroupAction",
           R"({"AutoScalingGroupName":"web","ScheduledActionName":"s","Recurrence":"0 8 * * *","MinSize":1})"),
      json("StartInstanceRefresh", R"({"AutoScalingGroupName":"web","Preferences":{"MinHealthyPercentage":90}})"),
      json("Apply", R"({"Document":{"version":1}})"),
      metrics("PutMetricData", R"({"Namespace":"n","MetricData":[{"MetricName":"m","Values":[1,2],"Counts":[1,2]},)"
                               R"({"MetricName":"m","Timestamp":1795435100,"StatisticValues":)"
                               R"({"SampleCount":2,"Sum":3,"Minimum":1,"Maximum":2}}]})"),
      metrics("GetMetricData",
              "{" + range +
                  R"(,"MetricDataQueries":[{"Id":"m","MetricStat":{"Metric":{"Namespace":"n","MetricName":"m"},)"
                  R"x("Period":60,"Stat":"p99"}},{"Id":"e","Expression":"m / PERIOD(m)"}]})x"),
      metrics("GetMetricStatistics",
              "{" + range + R"(,"Namespace":"n","MetricName":"m","Period":60,"Statistics":["Average"]})"),
      metrics("PutMetricAlarm",
              R"({"AlarmName":"a","ComparisonOperator":"GreaterThanThreshold","EvaluationPeriods":2,"Threshold":5,)"
              R"("Namespace":"n","MetricName":"m","Period":60,"Statistic":"Sum"})"),
  };
}

struct World {
  MemoryStore store;
  LiveTable live;
  ManualClock clock{kNow};
  std::unique_ptr<history::History> history = std::move(history::History::open({})).value();
  api::Context context{store, live, clock};
  World() {
    context.history = history.get();
    context.seed = [] { return uint64_t{1}; };
    // Something to speak of.
    ask("CreateLaunchConfiguration", R"({"LaunchConfigurationName":"l","Process":{"Command":["sleep","60"]}})");
    ask("CreateAutoScalingGroup",
        R"({"AutoScalingGroupName":"web","MinSize":1,"MaxSize":4,"AvailabilityZones":["a"],"LaunchConfigurationName":"l"})");
  }
  api::Answer ask(const std::string& operation, const std::string& body) {
    api::Head head;
    head.method = "POST";
    head.target = "/v1/" + operation;
    head.fields["content-type"] = "application/json";
    const api::Answer answer = api::route(context, head, body, api::Trust::Changes, "id");
    HOLDS(answer.status == 200);
    return answer;
  }
};

void fuzz_one(Input input) {
  const std::string_view text = input.rest();
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return;
  const auto parsed = api::parse_head(text.substr(0, end + 4), 1 << 20);
  if (!std::holds_alternative<api::Head>(parsed)) return;
  const auto& head = std::get<api::Head>(parsed);
  World world;
  const std::string body(text.substr(end + 4));
  const api::Answer answer = api::route(world.context, head, body, api::Trust::Changes, "request-1");
  HOLDS(answer.status == 200 || (answer.status >= 400 && answer.status < 500) || answer.status == 501 ||
        answer.status == 503);
  HOLDS(is_text(answer.body));
  for (const auto& [name, value] : answer.headers) {
    HOLDS(!name.empty());
    for (const char c : name + value) HOLDS(c >= 32 && c < 127);
  }
  if (answer.content_type.find("xml") != std::string::npos) {
    pugi::xml_document document;
    parse_strictly(answer.body, document);
  } else if (answer.content_type.find("json") != std::string::npos) {
    HOLDS(api::read_json(answer.body).ok());
  }
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
