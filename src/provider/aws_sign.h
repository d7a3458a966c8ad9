// AWS Signature Version 4: the proof, in a request's headers, that whoever sent it knows the secret key. Own code over
// OpenSSL's HMAC, because libcurl of Debian 12 mis-signs some requests and knows nothing of the clock's error.
//
// POST and plain paths only: every call to EC2 and STS is a form posted to "/", so no query string is ever
// canonicalised.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace escala {

// A secret; never printed. expires_at: seconds since 1970, 0 = does not end.
struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;
  int64_t expires_at = 0;
  std::string source;  // for people: "environment", "instance metadata"
};

struct AwsScope {
  std::string region;
  std::string service;  // "ec2", "sts"
};

struct SignedRequest {
  std::string host;  // as in the Host header, with its port where the URL has one
  std::string path = "/";
  std::string body;
  std::map<std::string, std::string> headers;  // lower-case names; signed all; "host" and the date are added
};

// Adds host, x-amz-date, x-amz-security-token (with a session token) and authorization.
void sign(SignedRequest& request, const AwsCredentials& credentials, const AwsScope& scope, int64_t unix_seconds);

// The form in which EC2 takes parameters: RFC 3986, upper-case hexadecimal, only unreserved characters left alone.
std::string form_encode(std::string_view text);

// Bytes, not text.
std::string sha256(std::string_view data);
std::string hmac_sha256(std::string_view key, std::string_view data);
std::string hex(std::string_view bytes);
std::string base64(std::string_view bytes);
// Empty when the text is not base64 (RFC 4648, padded, no line breaks).
std::string base64_decoded(std::string_view text);

// "20150830T123600Z"
std::string amz_date(int64_t unix_seconds);

}  // namespace escala
