// A made-up file tree for tests of samplers.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace escala {

class TestTree {
 public:
  TestTree() {
    std::string name = std::filesystem::temp_directory_path() / "escala-agent-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TestTree() { std::filesystem::remove_all(path_); }
  TestTree(const TestTree&) = delete;
  TestTree& operator=(const TestTree&) = delete;
  const std::string& path() const { return path_; }
  std::string write(const std::string& file, const std::string& text) const {
    const std::filesystem::path to = path_ + "/" + file;
    std::filesystem::create_directories(to.parent_path());
    std::ofstream(to) << text;
    return to;
  }

 private:
  std::string path_;
};

}  // namespace escala
