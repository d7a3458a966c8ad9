// Our gRPC and grpc++ with each other: what we say must be understood by those who wrote the protocol, and the other
// way.
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "wire/agent.grpc.pb.h"
#include "wire/classic.grpc.pb.h"
#include "wire/grpc.h"
#include "wire/health.h"
#include "wire/metrics_check.h"
#include "wire/test_support.h"

namespace {

using namespace std::chrono_literals;
using escala::wire::Client;
using escala::wire::EventLoop;
using escala::wire::GrpcCode;
using escala::wire::GrpcStatus;
using escala::wire::kMaxMessageBytes;
using escala::wire::Server;
using escala::wire::ServerCall;
namespace v1 = escala::v1;

// --- their client, our server
// ------------------------------------------------------------------------------------------

// Our server on a thread of its own; theirs blocks.
class OurServer : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Server::listen(loop_, {.listen = "127.0.0.1:0", .tls = {}, .limits = {}});
    ASSERT_TRUE(made.ok()) << made.error().message;
    server_ = std::move(made).value();
    server_->add("/escala.v1.Monitor/Send", {.on_start = {}, .on_message = send, .on_half_close = {}, .on_end = {}});
    server_->add("/escala.v1.Monitor/Stream", {.on_start = {},
                                               .on_message =
                                                   [](ServerCall& call, std::string_view bytes) {
                                                     v1::Instruction told;
                                                     v1::Report report;
                                                     ASSERT_TRUE(escala::wire::decode_report(bytes, report).ok());
                                                     told.set_period_ms(static_cast<uint32_t>(report.samples_size()));
                                                     call.send(told.SerializeAsString());
                                                   },
                                               .on_half_close = [](ServerCall& call) { call.finish({}); },
                                               .on_end = [this](ServerCall&) { ++ended_; }});
    server_->add("/Monitor/is_alive", {.on_start = {},
                                       .on_message =
                                           [](ServerCall& call, std::string_view) {
                                             Alive alive;
                                             alive.set_alive("True");
                                             call.send(alive.SerializeAsString());
                                             call.finish({});
                                           },
                                       .on_half_close = {},
                                       .on_end = {}});
    thread_ = std::thread([this] { loop_.run(); });
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials());
  }
  void TearDown() override {
    channel_.reset();
    loop_.stop();
    thread_.join();
    server_.reset();
  }
  // Answers by what the instance's name asks for.
  static void send(ServerCall& call, std::string_view bytes) {
    v1::Report report;
    if (const auto status = escala::wire::decode_report(bytes, report); !status.ok())
      return call.finish({GrpcCode::InvalidArgument, status.error().message});
    if (report.instance() == "denied")
      return call.finish({GrpcCode::PermissionDenied, "no such instance: \xc3\xbc 100%"});
    if (report.instance() == "never") return;
    v1::Instruction told;
    told.set_lifecycle_state("InService");
    call.send(told.SerializeAsString());
    call.finish({});
  }

  EventLoop loop_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::shared_ptr<grpc::Channel> channel_;
  std::atomic<int> ended_{0};
};

TEST_F(OurServer, AnswersUnaryCalls) {
  const auto stub = v1::Monitor::NewStub(channel_);
  for (int i = 0; i < 200; ++i) {
    grpc::ClientContext context;
    context.AddMetadata("x-something", std::string(200, 'm'));
    v1::Report report;
    report.set_instance("i-1");
    v1::Instruction told;
    const grpc::Status status = stub->Send(&context, report, &told);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(told.lifecycle_state(), "InService");
  }
}

TEST_F(OurServer, CarriesStreams) {
  const auto stub = v1::Monitor::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->Stream(&context);
  for (int i = 1; i <= 50; ++i) {
    v1::Report report;
    for (int k = 0; k < i; ++k) report.add_samples()->set_sequence(static_cast<uint64_t>(k) + 1);
    ASSERT_TRUE(stream->Write(report));
    v1::Instruction told;
    ASSERT_TRUE(stream->Read(&told));
    ASSERT_EQ(told.period_ms(), static_cast<uint32_t>(i));
  }
  stream->WritesDone();
  v1::Instruction none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(OurServer, CancelledStreamsEnd) {
  const auto stub = v1::Monitor::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->Stream(&context);
  ASSERT_TRUE(stream->Write(v1::Report()));
  v1::Instruction told;
  ASSERT_TRUE(stream->Read(&told));
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  for (int i = 0; i < 500 && ended_ == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(ended_, 1);
}

TEST_F(OurServer, ErrorsArriveWithCodeAndWords) {
  const auto stub = v1::Monitor::NewStub(channel_);
  const auto ask = [&](const v1::Report& report) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 200ms);
    v1::Instruction told;
    return stub->Send(&context, report, &told);
  };
  v1::Report report;
  report.set_instance("denied");
  EXPECT_EQ(ask(report).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ask(report).error_message(), "no such instance: \xc3\xbc 100%");
  report.set_instance("never");
  EXPECT_EQ(ask(report).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  report.set_instance("i-1");
  report.add_samples()->set_cpu_percent(1);
  EXPECT_EQ(ask(report).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  report.clear_samples();
  report.set_join_token(std::string(kMaxMessageBytes + 1, 't'));
  EXPECT_EQ(ask(report).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto agent = v1::Agent::NewStub(channel_);
  grpc::ClientContext context;
  v1::HeartbeatReply reply;
  EXPECT_EQ(agent->Heartbeat(&context, v1::HeartbeatRequest(), &reply).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(OurServer, RefusesCompressedMessagesButServesOn) {
  const auto stub = v1::Monitor::NewStub(channel_);
  v1::Report report;
  report.set_instance("i-1");
  report.set_join_token(std::string(400, 't'));
  v1::Instruction told;
  grpc::ClientContext compressed;
  compressed.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  EXPECT_EQ(stub->Send(&compressed, report, &told).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  grpc::ClientContext plain;
  EXPECT_TRUE(stub->Send(&plain, report, &told).ok());
}

TEST_F(OurServer, SpeaksTheClassicDialect) {
  const auto stub = Monitor::NewStub(channel_);
  grpc::ClientContext context;
  Alive alive;
  ASSERT_TRUE(stub->is_alive(&context, Nulo(), &alive).ok());
  EXPECT_EQ(alive.alive(), "True");
}

// --- our client, their server
// --------------------------------------------------------------------------------------------

class TheirAgent final : public v1::Agent::Service {
  grpc::Status GetMetrics(grpc::ServerContext* context, const v1::GetMetricsRequest* request,
                          v1::GetMetricsReply* reply) override {
    if (request->lifecycle_state() == "Terminating")
      return {grpc::StatusCode::FAILED_PRECONDITION, "no more: \xc3\xbc 100%"};
    if (request->lifecycle_state() == "Slow")
      while (!context->IsCancelled()) std::this_thread::sleep_for(1ms);
    reply->set_instance("i-1");
    auto* sample = reply->add_samples();
    sample->set_sequence(request->after_sequence() + 1);
    sample->set_cpu_percent(42);
    if (request->lifecycle_state() == "Huge") reply->set_interruption(std::string(kMaxMessageBytes + 1, 'x'));
    return grpc::Status::OK;
  }
};

class TheirMonitor final : public v1::Monitor::Service {
  grpc::Status Stream(grpc::ServerContext*, grpc::ServerReaderWriter<v1::Instruction, v1::Report>* stream) override {
    v1::Report report;
    v1::Instruction told;
    uint32_t count = 0;
    while (stream->Read(&report)) {
      told.set_in_service(++count);
      stream->Write(told);
    }
    return grpc::Status::OK;
  }
};

class TheirServer : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&agent_);
    builder.RegisterService(&monitor_);
    server_ = builder.BuildAndStart();
    ASSERT_TRUE(server_);
    client_ =
        Client::make(loop_, {.target = "127.0.0.1:" + std::to_string(port_), .tls = {}, .tls_name = "", .source = ""});
  }
  void TearDown() override {
    client_.reset();
    server_->Shutdown(std::chrono::system_clock::now());
  }
  GrpcStatus ask(std::string_view path, const std::string& request, std::string& reply, escala::Duration timeout = 5s) {
    std::optional<GrpcStatus> got;
    client_->call(path, request, timeout, [&](const GrpcStatus& status, std::string_view bytes) {
      got = status;
      reply = bytes;
    });
    EXPECT_TRUE(escala::wire::until(loop_, [&] { return got.has_value(); }));
    return got.value_or(GrpcStatus{GrpcCode::UnknownError, "nothing came"});
  }

  int port_ = 0;
  TheirAgent agent_;
  TheirMonitor monitor_;
  std::unique_ptr<grpc::Server> server_;
  EventLoop loop_;
  std::unique_ptr<Client> client_;
};

constexpr std::string_view kGetMetrics = "/escala.v1.Agent/GetMetrics";

TEST_F(TheirServer, AnswersOurCalls) {
  std::string bytes;
  for (uint64_t i = 0; i < 200; ++i) {
    v1::GetMetricsRequest request;
    request.set_after_sequence(i);
    const GrpcStatus status = ask(kGetMetrics, request.SerializeAsString(), bytes);
    ASSERT_TRUE(status.ok()) << status.message;
    v1::GetMetricsReply reply;
    ASSERT_TRUE(escala::wire::decode_reply(bytes, reply).ok());
    ASSERT_EQ(reply.samples(0).sequence(), i + 1);
  }
}

TEST_F(TheirServer, ErrorsArriveWithCodeAndWords) {
  std::string bytes;
  v1::GetMetricsRequest request;
  request.set_lifecycle_state("Terminating");
  GrpcStatus status = ask(kGetMetrics, request.SerializeAsString(), bytes);
  EXPECT_EQ(status.code, GrpcCode::FailedPrecondition);
  EXPECT_EQ(status.message, "no more: \xc3\xbc 100%");
  request.set_lifecycle_state("Slow");
  EXPECT_EQ(ask(kGetMetrics, request.SerializeAsString(), bytes, 100ms).code, GrpcCode::DeadlineExceeded);
  request.set_lifecycle_state("Huge");
  EXPECT_EQ(ask(kGetMetrics, request.SerializeAsString(), bytes).code, GrpcCode::ResourceExhausted);
  EXPECT_EQ(ask("/escala.v1.Agent/Other", "", bytes).code, GrpcCode::Unimplemented);
  request.set_lifecycle_state("InService");
  EXPECT_TRUE(ask(kGetMetrics, request.SerializeAsString(), bytes).ok());
}

TEST_F(TheirServer, CarriesOurStreams) {
  uint32_t last = 0;
  std::optional<GrpcStatus> end;
  const auto stream =
      client_->open("/escala.v1.Monitor/Stream", {[&](std::string_view bytes) {
                                                    v1::Instruction told;
                                                    ASSERT_TRUE(told.ParseFromString(std::string(bytes)));
                                                    last = told.in_service();
                                                  },
                                                  [&](const GrpcStatus& status) { end = status; }});
  for (int i = 0; i < 1000; ++i) {
    v1::Report report;
    report.add_samples()->set_sequence(static_cast<uint64_t>(i) + 1);
    ASSERT_TRUE(escala::wire::until(loop_, [&] { return client_->send(stream, report.SerializeAsString()); }));
  }
  EXPECT_TRUE(escala::wire::until(loop_, [&] { return last == 1000; })) << last;
  client_->close(stream);
  EXPECT_TRUE(escala::wire::until(loop_, [&] { return end.has_value(); }));
  EXPECT_TRUE(end->ok()) << end->message;
}

TEST_F(TheirServer, SpeaksHealth) {
  std::string bytes;
  const GrpcStatus status = ask(escala::wire::kHealthCheckPath, escala::wire::encode_health_request(""), bytes);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(escala::wire::decode_health_reply(bytes), escala::wire::Serving::Yes);
}

TEST_F(TheirServer, ItsShutdownIsTold) {
  bool down = false;
  std::string bytes;
  client_->on_down([&](const escala::Error&) { down = true; });
  ASSERT_TRUE(ask(kGetMetrics, "", bytes).ok());
  server_->Shutdown(std::chrono::system_clock::now());
  EXPECT_TRUE(escala::wire::until(loop_, [&] { return down; }));
}

}  // namespace
