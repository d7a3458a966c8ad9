#include "agent/http_body.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace escala {
namespace {

struct Reading {
  std::string body;
  HttpBody reader{[this](std::string_view piece) { body += piece; }};
  Status status;
  explicit Reading(std::string_view text, size_t piece = 1000, bool end = false) {
    reader.begin();
    for (; status.ok() && !text.empty(); text.remove_prefix(std::min(piece, text.size())))
      status = reader.feed(text.substr(0, piece));
    if (end && status.ok()) status = reader.end();
  }
};

TEST(HttpBody, LengthChunksAndToTheEnd) {
  for (const size_t piece : {1, 2, 1000}) {
    const Reading length("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", piece);
    EXPECT_TRUE(length.reader.complete());
    EXPECT_TRUE(length.reader.keep_alive());
    EXPECT_EQ(length.body, "hello");
    const Reading chunks(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n", piece);
    EXPECT_TRUE(chunks.status.ok()) << chunks.status.error().message;
    EXPECT_TRUE(chunks.reader.complete());
    EXPECT_EQ(chunks.body, "hello");
    const Reading to_the_end("HTTP/1.0 200 OK\r\n\r\nhello", piece, true);
    EXPECT_TRUE(to_the_end.reader.complete());
    EXPECT_FALSE(to_the_end.reader.keep_alive());
    EXPECT_EQ(to_the_end.body, "hello");
  }
}

TEST(HttpBody, WhatIsNotWhole) {
  EXPECT_FALSE(Reading("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 1000, true).status.ok());
  EXPECT_FALSE(Reading("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 1000, true).status.ok());
}

TEST(HttpBody, WhatIsRefused) {
  for (const char* wrong :
       {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"})
    EXPECT_FALSE(Reading(wrong).status.ok()) << wrong;
  EXPECT_FALSE(Reading("HTTP/1.1 200 OK\r\nX: " + std::string(kMaxHttpHeaderBytes, 'x')).status.ok());
  EXPECT_FALSE(Reading("HTTP/1.0 200 OK\r\n\r\n" + std::string(kMaxHttpBodyBytes + 1, 'x'), 4096).status.ok());
}

TEST(HttpBody, NonsenseIsSurvived) {
  Random random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string text = round % 2 ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" : "";
    for (uint64_t n = random.below(60); n > 0; --n) text += "0123af\r\n:; HTP"[random.below(14)];
    const Reading reading(text, 1 + random.below(9), true);
    EXPECT_LE(reading.body.size(), text.size());
  }
}

}  // namespace
}  // namespace escala
