#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <string>

#include "support/errors.hpp"
#include "support/files.hpp"

// A full disk, and invalid files.
namespace plasticity::testing {

/// Simulates a full disk: as long as the object lives, no file of this process can grow beyond `bytes`.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    signal_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int) = nullptr;
};

/// An invalid file and the error that it must cause.
struct InvalidFile {
  std::string name;  // letters, digits and _
  std::string bytes;
  std::string message;  // a part of the message
  ErrorCode code = ErrorCode::format;
};
inline void PrintTo(const InvalidFile& wrong, std::ostream* out) { *out << wrong.bytes.size() << " bytes"; }
inline std::string name_of(const ::testing::TestParamInfo<InvalidFile>& info) { return info.param.name; }

}  // namespace plasticity::testing
