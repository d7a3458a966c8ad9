#include "sim/trace_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace escala {
namespace {

class File {
 public:
  explicit File(std::string_view text) {
    path_ = ::testing::TempDir() + fmt::format("trace-{}-{}", getpid(), ++made);
    std::ofstream(path_, std::ios::binary) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  static inline int made = 0;
  std::string path_;
};

Trace read(std::string_view text, TraceOptions options = {}) {
  const File file(text);
  auto trace = read_trace(file.path(), options);
  if (!trace.ok()) {
    ADD_FAILURE() << trace.error().message;
    return {};
  }
  return std::move(trace).value();
}

// The fault, with "f" for the file's name.
std::string fault(std::string_view text, TraceOptions options = {}) {
  const File file(text);
  const auto trace = read_trace(file.path(), options);
  if (trace.ok()) return fmt::format("accepted {} rows", trace->rows);
  std::string message = trace.error().message;
  if (!message.starts_with(file.path())) return "the file is not named: " + message;
  return "f" + message.substr(file.path().size());
}

TEST(TraceReader, ReadsCsv) {
  const Trace plain = read("0,1\n60,2.5\n120,0\n");
  EXPECT_EQ(plain.demand.demand, (std::vector<double>{1, 2.5, 0}));
  EXPECT_EQ(plain.demand.step_s, 60);
  EXPECT_FALSE(plain.start);
  EXPECT_EQ(plain.rows, 3U);
  EXPECT_NEAR(plain.demand.capacity, 3.5 / 3 / 20, 1e-12);
  // Header, byte order mark, CRLF, quotes, comments, a moment with a zone, and without the last line's end.
  const Trace fancy = read(
      "\xEF\xBB\xBFtimestamp,requests\r\n# from the balancer\r\n\"2026-01-05T08:00:00+01:00\",\"10\"\r\n"
      "2026-01-05 07:05:00Z, 1e1",
      {.capacity = 4});
  EXPECT_EQ(fancy.demand.demand, (std::vector<double>{10, 10}));
  EXPECT_EQ(fancy.demand.step_s, 300);
  EXPECT_EQ(iso8601(*fancy.start), "2026-01-05T07:00:00Z");
  EXPECT_EQ(fancy.demand.capacity, 4);
  // Milliseconds are told by their size.
  EXPECT_EQ(iso8601(*read("1767600000000,1\n1767600030000,2\n").start), "2026-01-05T08:00:00Z");
}

TEST(TraceReader, PutsRowsTogetherIntoSteps) {
  const Trace trace = read("0,1\n15,2\n30,3\n45,6\n60,10\n75,20\n", {.step_s = 60});
  EXPECT_EQ(trace.demand.demand, (std::vector<double>{3, 15}));
  EXPECT_EQ(trace.demand.step_s, 60);
  EXPECT_EQ(trace.row_gap_s, 15);
  // A poller's rows come a little early or late.
  EXPECT_EQ(read("0,1\n60.2,2\n119.9,3\n180.4,4\n").demand.demand, (std::vector<double>{1, 2, 3, 4}));
}

TEST(TraceReader, SortsAndFillsWhenAsked) {
  EXPECT_EQ(read("60,2\n0,1\n120,3\n", {.sort = true}).demand.demand, (std::vector<double>{1, 2, 3}));
  const std::string gap = "0,3\n60,3\n240,6\n";
  EXPECT_EQ(read(gap, {.fill = TraceFill::Hold}).demand.demand, (std::vector<double>{3, 3, 3, 3, 6}));
  EXPECT_EQ(read(gap, {.fill = TraceFill::Zero}).demand.demand, (std::vector<double>{3, 3, 0, 0, 6}));
  const Trace linear = read(gap, {.fill = TraceFill::Linear});
  EXPECT_EQ(linear.demand.demand, (std::vector<double>{3, 3, 4, 5, 6}));
  EXPECT_EQ(linear.filled, 2U);
}

TEST(TraceReader, ReadsPrometheus) {
  const Trace trace = read(R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"w\u00e9b"},
    "values":[[1767600000,"12.5"],[1767600015.001,"13"],[1767600030,"1e2"]]}]}, "warnings": [null, true, {"a": -1.5e3}]})");
  EXPECT_EQ(trace.demand.demand, (std::vector<double>{12.5, 13, 100}));
  EXPECT_EQ(trace.demand.step_s, 15);
  EXPECT_EQ(iso8601(*trace.start), "2026-01-05T08:00:00Z");
}

TEST(TraceReader, ReadsCloudWatchNewestFirst) {
  const Trace trace = read(R"({"MetricDataResults":[{"Id":"m1","Label":"RequestCount","Timestamps":
    ["2026-01-05T08:02:00+00:00","2026-01-05T08:01:00+00:00","2026-01-05T08:00:00+00:00"],
    "Values":[30.0,20.0,10.0],"StatusCode":"Complete"}],"Messages":[]})");
  EXPECT_EQ(trace.demand.demand, (std::vector<double>{10, 20, 30}));
  EXPECT_EQ(iso8601(*trace.start), "2026-01-05T08:00:00Z");
}

TEST(TraceReader, FaultsOfCsvNameLineAndRule) {
  const std::pair<std::string, std::string> bad[] = {
      {"", "f: is empty; expected rows of time,demand"},
      {"\n \n", "f: is empty; expected rows of time,demand"},
      {"time,demand\n", "f: no rows; expected time,demand"},
      {"0,5\n", "f: 1 row; expected at least 2: the first two tell the step"},
      {"load,group\n0,1\n", "f:1: header 'load,group'; expected 'time,demand'"},
      {"time,demand\n0,1\n60\n", "f:3: expected 2 fields (time,demand), found 1"},
      {"0,1,x,9\n", "f:1: expected 2 fields (time,demand), found 4; a decimal comma?"},
      {"time;demand\n0;1\n", "f:1: fields are separated by ';'; expected ',' (and numbers with a decimal point)"},
      {"0\t1\n", "f:1: fields are separated by tabs; expected ','"},
      {"0,1\n60,\"2\n", "f:2: quotes do not match in '\"2'"},
      {"0,1\n60,2\n30,3\n", "f:3: time 30 is earlier than 60 of the row before; --sort puts rows in order"},
      {"0,1\n60,2\n60,3\n", "f:3: time 60 is there twice"},
      {"-60,1\n0,2\n", "f:1: column 1, time: -60 is below 0"},
      {"0,1\nnan,2\n", "f:2: column 1, time: 'nan' is not a decimal number"},
      {"0,1\n60,2\n300,3\n",
       "f:3: 3m missing before this row (rows are 60 s apart); --fill hold, zero or linear makes them up"},
      {"1767600000,1\n1767600060,2\n1767600120000000000000,3\n",
       "f:3: time jumps from 1767600060 to 1767600120000; expected at most 366d between rows (seconds mixed with "
       "another "
       "unit?)"},
      {"2026-03-29T01:30:00,1\n",
       "f:1: column 1, time: '2026-03-29T01:30:00' does not say its time zone; expected Z or an "
       "offset such as +02:00"},
      {"2026-13-29T01:30:00Z,1\n",
       "f:1: column 1, time: '2026-13-29T01:30:00Z' is no moment; expected seconds or ISO 8601 "
       "such as 2026-01-05T08:00:00Z"},
      {"0,1\n60,-2\n", "f:2: column 2, demand: -2 is below 0"},
      {"0,1\n60,nan\n", "f:2: column 2, demand: 'nan' is not a decimal number"},
      {"0,1\n60,inf\n", "f:2: column 2, demand: 'inf' is not a decimal number"},
      {"0,1\n60,0x1F\n", "f:2: column 2, demand: '0x1F' is not a decimal number"},
      {"0,1\n60,1e999\n", "f:2: column 2, demand: '1e999' does not fit a number"},
      {"0,1\n60,\n", "f:2: column 2, demand: is empty; expected a number"},
      {"0,1\n60,many\n", "f:2: column 2, demand: 'many' is not a decimal number"},
      {"0,0\n60,0\n", "f: the demand is 0 all the time"},
      {std::string("0,1\n60,\0\n", 8), "f:2: a zero byte; expected text"},
      {"0," + std::string(5000, '1'), "f:1: longer than 4096 bytes"},
      {"\x1f\x8b\x08 and so on", "f: is compressed (gzip); expected text: gunzip it, or pipe it in"},
      {"PK\x03\x04 and so on", "f: is a zip archive; expected text"},
      {std::string("\xff\xfe{\0", 4), "f: is UTF-16; expected UTF-8"},
  };
  for (const auto& [text, message] : bad) EXPECT_EQ(fault(text), message) << text.substr(0, 80);
}

TEST(TraceReader, FaultsOfJsonNameLineAndColumn) {
  const std::string head = R"({"status":"success","data":{"resultType":"matrix","result":[)";
  const std::pair<std::string, std::string> bad[] = {
      {"{}", "f: neither a Prometheus range-query answer ('data') nor CloudWatch's ('MetricDataResults')"},
      {R"({"a":1,"a":2})", "f:1:11: key 'a' given twice"},
      {R"({"a\b":1,"a\b":2})", R"(f:1:15: key 'a\x08' given twice)"},
      {R"({"status":"error","error":"\r\n"})", R"(f: the answer of a query that failed: status is 'error': \x0d\x0a)"},
      {R"({"a":NaN})", "f:1:6: expected a number"},
      {R"({"a":01})", "f:1:8: '01' is not a number of JSON"},
      {R"({"a":1,})", "f:1:8: expected a key in double quotes"},
      {"{\"a\":1}\n{", "f:2:1: something follows the end of the document"},
      {"{\"a\":[1,\n2", "f:2:2: expected ',' or ']'"},
      {"{\"a\":" + std::string(40, '[') + "1", "f:1:38: nesting deeper than 32"},
      {R"({"a":"x)", "f:1:8: text without its closing quote"},
      {R"({"status":"error","error":"parse error"})",
       "f: the answer of a query that failed: status is 'error': parse error"},
      {R"({"data":{"resultType":"vector"}})",
       "f:1:31: resultType 'vector'; expected 'matrix': ask /api/v1/query_range"},
      {head + R"({"values":[[0,"1"],[60,"1e400"]]}]}})", "f:1:92: '1e400' does not fit a number"},
      {head + R"({"values":[[0,"1"],[60,"NaN"]]}]}})", "f:1:90: 'NaN' is not a decimal number"},
      {head + R"({"values":[[0,"1"],[60]]}]}})", "f:1:84: half a point; expected [time, \"value\"]"},
      {head + R"({"values":[[0,"1"],[60,"2"]]},{}]}})",
       "f:1:91: a second series; expected one: put sum(...) around the query"},
      {head + R"({"values":[[0,"1"],[0,"2"]]}]}})", "f:1:87: time 0 is there twice"},
      {R"({"MetricDataResults":[{"Timestamps":["2026-01-05T08:00:00Z"],"Values":[1,2]}]})",
       "f:1:79: 1 Timestamps, but 2 Values"},
      {R"({"MetricDataResults":[]})", "f:1:25: MetricDataResults is empty"},
      {R"({"MetricDataResults":[{"StatusCode":"PartialData"}]})",
       "f:1:50: StatusCode 'PartialData'; expected 'Complete': ask again, with every page"},
  };
  for (const auto& [text, message] : bad) EXPECT_EQ(fault(text), message) << text.substr(0, 80);
}

TEST(TraceReader, ReadsFilesOnly) {
  EXPECT_NE(read_trace(::testing::TempDir(), {}).error().message.find("is a directory; expected a file"),
            std::string::npos);
  EXPECT_NE(read_trace("/dev/zero", {}).error().message.find("is a device"), std::string::npos);
  const std::string fifo = ::testing::TempDir() + fmt::format("fifo-{}", getpid());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(read_trace(fifo, {}).error().message.find("is a FIFO"), std::string::npos);
  unlink(fifo.c_str());
  EXPECT_EQ(read_trace("/no/such/file", {}).error().message, "/no/such/file: No such file or directory");
}

TEST(TraceReader, ASparseFileIsRefusedAtOnce) {
  const File file("0,1\n");
  ASSERT_EQ(truncate(file.path().c_str(), int64_t{1} << 40), 0);
  EXPECT_EQ(read_trace(file.path(), {}).error().message, file.path() + ":2: a zero byte; expected text");
}

// More rows than there may be steps: twice as long steps, in the same memory.
TEST(TraceReader, MakesStepsLongerRatherThanGrow) {
  const TraceOptions options;
  TraceBuilder builder(options);
  const size_t rows = kMaxTraceSteps * 2 + 10;
  for (size_t i = 0; i < rows; ++i)
    ASSERT_TRUE(builder.add(static_cast<double>(i) * 60, static_cast<double>(i % 4)).ok());
  const Trace trace = builder.finish().value();
  EXPECT_EQ(trace.rows, rows);
  EXPECT_EQ(trace.demand.step_s, 240);
  EXPECT_LE(trace.demand.demand.size(), kMaxTraceSteps);
  EXPECT_DOUBLE_EQ(trace.demand.demand[17], 1.5);  // (0 + 1 + 2 + 3) / 4
}

}  // namespace
}  // namespace escala
