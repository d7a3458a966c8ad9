// For tests of the EC2 provider: its double (tests/support/ec2_double.py) as a process of our own, and a driver for it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "provider/aws_credentials.h"
#include "provider/aws_http.h"
#include "provider/ec2_driver.h"

namespace escala {

// Lives as long as this object: the double ends when its standard input does.
class Ec2Double {
 public:
  explicit Ec2Double(std::vector<std::string> options = {}) {
    std::array<int, 2> in{}, out{};
    ESCALA_CHECK(pipe2(in.data(), O_CLOEXEC) == 0 && pipe2(out.data(), O_CLOEXEC) == 0);
    std::vector<std::string> words{"python3", std::string(ESCALA_SOURCE_DIR) + "/tests/support/ec2_double.py"};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    stdin_ = in[1];
    std::string line;
    for (char c = 0; read(out[0], &c, 1) == 1 && c != '\n';) line += c;
    close(out[0]);
    ESCALA_CHECK(line.starts_with("port "));
    url_ = "http://127.0.0.1:" + line.substr(5);
  }
  ~Ec2Double() {
    close(stdin_);
    waitpid(pid_, nullptr, 0);
  }
  Ec2Double(const Ec2Double&) = delete;
  Ec2Double& operator=(const Ec2Double&) = delete;

  const std::string& url() const { return url_; }
  void set(const std::string& json) { tell("set", json); }
  void tell(const std::string& what, const std::string& json) {
    HttpRequest request;
    request.method = "POST";
    request.url = url_ + "/_double/" + what;
    request.body = json;
    const auto answer = http_.send(request);
    ESCALA_CHECK(answer.ok() && answer->status == 200);
  }
  std::string state() {
    HttpRequest request;
    request.url = url_ + "/_double/state";
    const auto answer = http_.send(request);
    ESCALA_CHECK(answer.ok() && answer->status == 200);
    return answer->body;
  }
  // How often the text stands in the double's state.
  int count(const std::string& text) {
    const std::string all = state();
    int n = 0;
    for (size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + text.size())) ++n;
    return n;
  }

 private:
  pid_t pid_ = -1;
  int stdin_ = -1;
  std::string url_;
  HttpClient http_;
};

class FixedCredentials final : public AwsCredentialsSource {
 public:
  Result<AwsCredentials> get(bool refresh) override {
    refreshes += refresh ? 1 : 0;
    return credentials;
  }
  AwsCredentials credentials{"AKIADOUBLE", "double-secret", "", 0, "test"};
  int refreshes = 0;
};

inline Ec2DriverOptions driver_options(const std::string& url) {
  Ec2DriverOptions out;
  out.endpoint = url;
  out.region = "test-1";
  out.http = std::make_shared<HttpClient>();
  out.credentials = std::make_shared<FixedCredentials>();
  out.clock = std::make_shared<SystemClock>();
  out.timeout = 10s;
  return out;
}

inline LaunchSpec ec2_spec() {
  LaunchSpec out;
  out.id = LaunchSpecId("web-1");
  out.provider = "ec2";
  out.image_id = "ami-12345678";
  out.instance_type = "t3.micro";
  return out;
}

}  // namespace escala
