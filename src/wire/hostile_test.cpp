// Peers that mean harm, speaking raw bytes (threats S-02 to S-04; bad inputs 113 to 121). Each test ends by asking an
// honest question on another connection: the server goes on serving others.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wire/framing.h"
#include "wire/grpc.h"
#include "wire/test_support.h"

namespace escala::wire {
namespace {

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindow = 8,
  kContinuation = 9
};
constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

std::string frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const size_t n = payload.size();
  std::string out{static_cast<char>(n >> 16),      static_cast<char>(n >> 8),      static_cast<char>(n),
                  static_cast<char>(type),         static_cast<char>(flags),       static_cast<char>(stream >> 24),
                  static_cast<char>(stream >> 16), static_cast<char>(stream >> 8), static_cast<char>(stream)};
  return out.append(payload);
}

// A header without indexing, name and value as plain text.
std::string plain(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out += static_cast<char>(name.size());
  out += name;
  out += static_cast<char>(value.size());
  out += value;
  return out;
}

std::string request_headers(std::string_view path, std::string_view method = "POST",
                            std::string_view type = "application/grpc") {
  return plain(":method", method) + plain(":scheme", "http") + plain(":path", path) + plain(":authority", "x") +
         plain("content-type", type) + plain("te", "trailers");
}

const std::string kHello = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + frame(kSettings, 0, 0, "");

// A client made of a socket and bytes.
class Raw {
 public:
  explicit Raw(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Raw() { close(fd_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  // What the socket takes, at once; false when the connection is gone.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0) return errno == EAGAIN;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return true;
  }
  // Takes in what has come.
  void hear() {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t got = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) {
        heard.append(buffer.data(), static_cast<size_t>(got));
        continue;
      }
      if (got == 0 || (errno != EAGAIN && errno != EINTR)) closed = true;
      return;
    }
  }
  // The payload of the first frame of that type heard so far.
  std::optional<std::string> payload(FrameType type, uint32_t stream = 0) const {
    for (size_t at = 0; at + 9 <= heard.size();) {
      const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(heard[at + i])); };
      const size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
      if (byte(3) == type && byte(8) == stream) return heard.substr(at + 9, length);
      at += 9 + length;
    }
    return std::nullopt;
  }
  // The headers of the answer on stream 1, decoded.
  std::map<std::string, std::string> answer() const {
    std::map<std::string, std::string> out;
    nghttp2_hd_inflater* inflater = nullptr;
    EXPECT_EQ(nghttp2_hd_inflate_new(&inflater), 0);
    const std::string block = payload(kHeaders, 1).value_or("");
    const auto* at = reinterpret_cast<const uint8_t*>(block.data());
    const uint8_t* const end = at + block.size();
    for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
      nghttp2_nv header{};
      const ssize_t taken = nghttp2_hd_inflate_hd2(inflater, &header, &flags, at, static_cast<size_t>(end - at), 1);
      if (taken < 0) break;
      at += taken;
      if (flags & NGHTTP2_HD_INFLATE_EMIT)
        out[std::string(reinterpret_cast<char*>(header.name), header.namelen)] =
            std::string(reinterpret_cast<char*>(header.value), header.valuelen);
    }
    nghttp2_hd_inflate_del(inflater);
    return out;
  }
  // The error code of its GOAWAY.
  std::optional<int> goaway() const {
    const auto found = payload(kGoaway);
    return found && found->size() >= 8 ? std::optional<int>(static_cast<unsigned char>((*found)[7])) : std::nullopt;
  }

  std::string heard;
  bool closed = false;

 private:
  int fd_;
};

constexpr int kEnhanceYourCalm = 11;

class Hostile : public ::testing::Test {
 protected:
  void start(ServerLimits limits = {}) {
    auto made = Server::listen(loop, {.listen = "127.0.0.1:0", .tls = std::nullopt, .limits = limits});
    ASSERT_TRUE(made.ok()) << made.error().message;
    server = std::move(made).value();
    add_echo(*server);
  }
  bool closes(Raw& raw, Duration limit = std::chrono::seconds(5)) {
    return until(
        loop,
        [&] {
          raw.hear();
          return raw.closed;
        },
        limit);
  }
  void TearDown() override {
    if (!server) return;
    bool answered = false;
    const auto honest = Client::make(
        loop, {.target = "127.0.0.1:" + std::to_string(server->port()), .tls = {}, .tls_name = "", .source = ""});
    honest->call("/test.Echo/Unary", "hello", 2s, [&](const GrpcStatus& status, std::string_view reply) {
      EXPECT_TRUE(status.ok()) << status.message;
      EXPECT_EQ(reply, "hello");
      answered = true;
    });
    EXPECT_TRUE(until(loop, [&] { return answered; }));
  }

  EventLoop loop;
  std::unique_ptr<Server> server;
};

TEST_F(Hostile, BytesThatAreNotHttp2) {
  start();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(1000, '\0'), std::string(1000, '\xff'),
        std::string("\x16\x03\x01\x02\x00\x01", 6) + std::string(100, 'x')}) {
    Raw raw(server->port());
    raw.say(bytes);
    EXPECT_TRUE(closes(raw)) << bytes.substr(0, 20);
  }
  EXPECT_EQ(server->counters().protocol_errors, 4u);
}

TEST_F(Hostile, FramesThatBreakTheRules) {
  start();
  const std::vector<std::string> faults{
      frame(kData, 0, 1, "x"),                                              // of a stream nobody opened
      frame(kHeaders, kEndHeaders, 2, "x"),                                 // an even number
      frame(kContinuation, kEndHeaders, 1, "x"),                            // of nothing
      frame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff\xff"),  // not HPACK
      frame(kWindow, 0, 0, std::string(4, '\0')),                           // by nothing
      frame(kPing, 0, 0, "short"),
      frame(kSettings, 0, 0, "abc"),
      std::string("\xff\xff\xff\0\0\0\0\0\1", 9),  // a frame of 16 MiB
  };
  for (size_t i = 0; i < faults.size(); ++i) {
    Raw raw(server->port());
    raw.say(kHello + faults[i]);
    EXPECT_TRUE(closes(raw)) << i;
    EXPECT_TRUE(raw.goaway()) << i;
  }
}

TEST_F(Hostile, SilenceAfterConnecting) {
  ServerLimits limits;
  limits.handshake_timeout = 200ms;
  start(limits);
  Raw nothing(server->port()), preface_only(server->port()), half_headers(server->port());
  preface_only.say(kHello);
  half_headers.say(kHello + frame(kHeaders, 0, 1, request_headers("/test.Echo/Unary").substr(0, 20)));
  EXPECT_TRUE(closes(nothing, 2s));
  EXPECT_TRUE(closes(preface_only, 2s));
  EXPECT_TRUE(closes(half_headers, 2s));
  EXPECT_EQ(server->counters().closed_for_deadline, 3u);
}

TEST_F(Hostile, HeadersOneByteAtATime) {
  ServerLimits limits;
  limits.handshake_timeout = 300ms;
  start(limits);
  Raw raw(server->port());
  raw.say(kHello);
  // 100 bytes a second: the headers would be whole after more than a second.
  const std::string slow = frame(kHeaders, kEndHeaders, 1, request_headers("/test.Echo/Unary"));
  ASSERT_GT(slow.size(), 100u);
  size_t said = 0;
  const Duration start_at = loop.now();
  until(
      loop,
      [&] {
        const auto due = static_cast<size_t>((loop.now() - start_at) / 10ms);
        for (; said < std::min(due, slow.size()); ++said) raw.say(slow.substr(said, 1));
        raw.hear();
        return raw.closed || said == slow.size();
      },
      3s);
  EXPECT_TRUE(raw.closed);
}

TEST_F(Hostile, RapidReset) {
  start();
  Raw raw(server->port());
  raw.say(kHello);
  const std::string headers = request_headers("/test.Echo/Never");
  for (uint32_t i = 0; i < 1000 && !raw.closed; ++i) {
    raw.say(frame(kHeaders, kEndHeaders, 1 + 2 * i, headers) +
            frame(kReset, 0, 1 + 2 * i, std::string("\0\0\0\x08", 4)));
    loop.poll(0ms);
    raw.hear();
  }
  EXPECT_TRUE(closes(raw));
  EXPECT_EQ(raw.goaway(), kEnhanceYourCalm);
  EXPECT_LE(server->counters().calls, 110u);
  EXPECT_EQ(server->counters().closed_for_limit, 1u);
}

TEST_F(Hostile, PingAndSettingsFloods) {
  start();
  for (const std::string& flood : {frame(kPing, 0, 0, "12345678"), frame(kSettings, 0, 0, "")}) {
    Raw raw(server->port());
    raw.say(kHello);
    std::string many;
    for (int i = 0; i < 500; ++i) many += flood;
    raw.say(many);
    EXPECT_TRUE(closes(raw));
    EXPECT_EQ(raw.goaway(), kEnhanceYourCalm);
  }
}

TEST_F(Hostile, EndlessHeaders) {
  start();
  Raw raw(server->port());
  raw.say(kHello + frame(kHeaders, 0, 1, request_headers("/test.Echo/Unary")));
  const std::string more =
      frame(kContinuation, 0, 1, plain("x", std::string(100, 'z')) + plain("y", std::string(100, 'z')));
  size_t sent = 0;
  while (!raw.closed && sent < (4u << 20)) {
    if (!raw.say(more)) break;
    sent += more.size();
    loop.poll(0ms);
    raw.hear();
  }
  EXPECT_TRUE(closes(raw));
  EXPECT_LT(sent, 256u << 10);
}

TEST_F(Hostile, HeadersThatGrowWhenUnpacked) {
  start();
  Raw raw(server->port());
  // One entry of 3,900 bytes put into the table, then referred to by a byte each: 64 MB out of 16 KB.
  std::string bomb = request_headers("/test.Echo/Unary");
  bomb += '\x40';
  bomb += '\x01';
  bomb += 'b';
  constexpr int kRest = 3900 - 127;  // lengths of 127 and more: 127, and the rest seven bits at a time
  bomb += {'\x7f', static_cast<char>(0x80 | (kRest & 0x7f)), static_cast<char>(kRest >> 7)};
  bomb += std::string(3900, 'z');
  bomb += std::string(8000, '\xbe');
  raw.say(kHello + frame(kHeaders, kEndHeaders, 1, bomb));
  EXPECT_TRUE(closes(raw));
  EXPECT_EQ(server->counters().calls, 0u);
}

TEST_F(Hostile, TooManyHeadersAreAnAnswerNotAClose) {
  start();
  Raw raw(server->port());
  std::string many = request_headers("/test.Echo/Unary");
  for (int i = 0; i < 100; ++i) many += plain("x", "1");
  raw.say(kHello + frame(kHeaders, kEndHeaders | kEndStream, 1, many));
  EXPECT_TRUE(until(loop, [&] {
    raw.hear();
    return raw.payload(kHeaders, 1).has_value();
  }));
  EXPECT_EQ(raw.answer()["grpc-status"], "8");
  EXPECT_FALSE(raw.closed);
}

TEST_F(Hostile, MoreBytesThanTheBudget) {
  ServerLimits limits;
  limits.bytes_per_second = 1000;
  limits.burst_bytes = 10'000;
  start(limits);
  Raw raw(server->port());
  std::string message;
  append_message(message, std::string(1000, 'x'));
  raw.say(kHello + frame(kHeaders, kEndHeaders, 1, request_headers("/test.Echo/Never")));
  for (int i = 0; i < 20; ++i) {
    raw.say(frame(kData, 0, 1, message));
    loop.poll(1ms);
  }
  EXPECT_TRUE(closes(raw));
  EXPECT_EQ(raw.goaway(), kEnhanceYourCalm);
  EXPECT_LE(server->counters().messages, 10u);
  EXPECT_EQ(never_ended(), 1);
}

TEST_F(Hostile, MoreStreamsThanAllowedAreRefusedOneByOne) {
  start();
  Raw raw(server->port());
  raw.say(kHello);
  for (uint32_t i = 0; i < 30; ++i)
    raw.say(frame(kHeaders, kEndHeaders, 1 + 2 * i, request_headers("/test.Echo/Never")));
  EXPECT_TRUE(until(loop, [&] {
    raw.hear();
    return raw.payload(kReset, 59).has_value();
  }));
  EXPECT_EQ(server->counters().calls, kMaxStreams);
}

TEST_F(Hostile, ManyLongMessagesThatNeverEnd) {
  ServerLimits limits;
  limits.burst_bytes = 4 << 20;
  start(limits);
  Raw raw(server->port());
  raw.say(kHello);
  std::string part;
  append_message(part, std::string(kMaxMessageBytes, 'x'));
  part.pop_back();
  // Three streams of almost 64 KiB each are more than one connection may leave unfinished.
  for (uint32_t stream : {1u, 3u, 5u}) {
    raw.say(frame(kHeaders, kEndHeaders, stream, request_headers("/test.Echo/Never")));
    for (size_t at = 0; at < part.size(); at += 16'000) {
      raw.say(frame(kData, 0, stream, part.substr(at, 16'000)));
      loop.poll(1ms);
    }
  }
  EXPECT_TRUE(until(loop, [&] {
    raw.hear();
    return raw.payload(kHeaders, 5).has_value();
  }));
  EXPECT_FALSE(raw.payload(kHeaders, 1));
  EXPECT_FALSE(raw.payload(kHeaders, 3));
  EXPECT_EQ(server->counters().messages, 0u);
}

TEST_F(Hostile, MessagesTooLongCompressedOrCutShort) {
  start();
  const auto ask = [&](std::string_view body, bool end) {
    Raw raw(server->port());
    raw.say(kHello + frame(kHeaders, kEndHeaders, 1, request_headers("/test.Echo/Unary")) +
            frame(kData, end ? kEndStream : 0, 1, body));
    EXPECT_TRUE(until(loop, [&] {
      raw.hear();
      return raw.payload(kHeaders, 1).has_value();
    }));
    return raw.answer()["grpc-status"];
  };
  const std::string resource_exhausted = "8", unimplemented = "12", invalid_argument = "3";
  EXPECT_EQ(ask(std::string("\0\0\1\0\1", 5), false), resource_exhausted);  // one byte more than 64 KiB
  EXPECT_EQ(ask(std::string("\0\xff\xff\xff\xff", 5), false), resource_exhausted);
  EXPECT_EQ(ask(std::string("\1\0\0\0\1x", 6), false), unimplemented);
  EXPECT_EQ(ask(std::string("\0\0\0\0\5x", 6), true), invalid_argument);
  EXPECT_EQ(ask("", true), invalid_argument);
  EXPECT_EQ(server->counters().messages, 0u);
}

TEST_F(Hostile, RequestsThatAreNotGrpc) {
  start();
  const auto status_of = [&](const std::string& headers, const std::string& field) {
    Raw raw(server->port());
    raw.say(kHello + frame(kHeaders, kEndHeaders | kEndStream, 1, headers));
    EXPECT_TRUE(until(loop, [&] {
      raw.hear();
      return raw.payload(kHeaders, 1).has_value();
    }));
    return raw.answer()[field];
  };
  EXPECT_EQ(status_of(request_headers("/test.Echo/Unary", "GET"), ":status"), "405");
  EXPECT_EQ(status_of(request_headers("/test.Echo/Unary", "POST", "text/html"), ":status"), "415");
  const std::string grpc = request_headers("/test.Echo/Unary");
  EXPECT_EQ(status_of(grpc + plain("grpc-timeout", "soon"), "grpc-status"), "3");
  EXPECT_EQ(status_of(grpc + plain("grpc-timeout", "0m"), "grpc-status"), "4");
  EXPECT_EQ(status_of(request_headers("/no/where"), "grpc-status"), "12");
  EXPECT_EQ(server->counters().messages, 0u);
}

TEST_F(Hostile, APeerThatNeverReads) {
  ServerLimits limits;
  limits.bytes_per_second = limits.burst_bytes = 64 << 20;
  start(limits);
  Raw raw(server->port());
  raw.say(kHello + frame(kHeaders, kEndHeaders, 1, request_headers("/test.Echo/Stream")));
  std::string message;
  append_message(message, std::string(8000, 'x'));
  // Its answers pile up to the bound of one call, and then the call ends; nothing grows without end.
  for (int i = 0; i < 2000; ++i) {
    raw.say(frame(kData, 0, 1, message));
    loop.poll(0ms);
  }
  EXPECT_LT(server->counters().messages, 2000u);
}

TEST_F(Hostile, NoFileDescriptorsLeft) {
  start();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // Room for a few connections only: both ends live in this process. The first half of the clients is made beforehand.
  std::vector<std::unique_ptr<Raw>> flood;
  for (int i = 0; i < 40; ++i) flood.push_back(std::make_unique<Raw>(server->port()));
  const int probe = dup(0);
  close(probe);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(probe) + 5;
  setrlimit(RLIMIT_NOFILE, &tight);
  EXPECT_TRUE(until(loop, [&] { return server->counters().refused >= 30; }));
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_LE(server->counters().connections, 6u);
  flood.clear();
  EXPECT_TRUE(until(loop, [&] { return server->counters().connections == 0; }));
}

}  // namespace
}  // namespace escala::wire
