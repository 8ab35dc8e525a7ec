#include "plasticity/device.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <optional>

#include "plasticity/device_memory.hpp"
#include "plasticity/error.hpp"

namespace plasticity {
namespace {

/// A variable of the environment within the life of the object.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value, 1);
  }
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(Device, CpuHasTheThreadsAskedFor) {
  EXPECT_EQ(Device::cpu(3).kind(), DeviceKind::cpu);
  EXPECT_EQ(Device::cpu(3).threads(), 3);
  EXPECT_EQ(Device::cpu(1024).threads(), 1024);
  EXPECT_GE(Device::cpu().threads(), 1);
  EXPECT_EQ(Device::cpu(2), Device::cpu(2));
  EXPECT_NE(Device::cpu(2), Device::cpu(3));
  EXPECT_EQ(Device::cpu(1).name(), "cpu, 1 thread, " + cpu_instruction_set());
  EXPECT_EQ(Device::cpu(2).name(), "cpu, 2 threads, " + cpu_instruction_set());
}

TEST(Device, ThreadsFromTheEnvironment) {
  const Variable threads("PLASTICITY_THREADS", "7");
  EXPECT_EQ(Device::cpu().threads(), 7);
  EXPECT_EQ(Device::cpu(2).threads(), 2);  // what the program says goes first
}

TEST(Device, EmptyVariableIsNone) {
  const int without = [] {
    const Variable none("PLASTICITY_THREADS", "");
    return Device::cpu().threads();
  }();
  const Variable one("PLASTICITY_THREADS", "1");
  EXPECT_GE(without, 1);
  EXPECT_EQ(Device::cpu().threads(), 1);
}

TEST(Device, RubbishInTheEnvironmentIsRefused) {
  for (const char* value :
       {"0", "-2", "1025", "two", "1.5", "4 ", " 4", "+4", "0x4", "4,", "99999999999999999999"}) {
    const Variable threads("PLASTICITY_THREADS", value);
    try {
      (void)Device::cpu();
      ADD_FAILURE() << "accepted '" << value << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_EQ(std::string(error.what()),
                std::string("PLASTICITY_THREADS: expected a number from 1 to 1024, got '") + value + "'");
    }
    EXPECT_EQ(Device::cpu(2).threads(), 2);
  }
}

// Sizes that come out of a subtraction too many: no wrapping around to a small piece of memory.
TEST(DeviceMemory, MoreThanThereAreAddressesIsRefused) {
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2 + 1}) {
    try {
      const DeviceMemory memory(Device::cpu(1), bytes);
      ADD_FAILURE() << bytes << " bytes at " << memory.data();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
    }
  }
  EXPECT_EQ(DeviceMemory(Device::cpu(1), 0).data(), nullptr);
}

TEST(Device, BestIsTheCpuWhereThereIsNoOther) {
  if (cuda_unavailable_reason().empty()) {
    EXPECT_NO_THROW((void)Device::best());
  } else {
    EXPECT_EQ(Device::best().kind(), DeviceKind::cpu);
  }
}

// The instruction set is read once a process, so each value needs one of its own.
TEST(DeviceDeathTest, InstructionSetFromTheEnvironment) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto say = [](const char* value) {
    const Variable isa("PLASTICITY_ISA", value);
    try {
      std::fprintf(stderr, "runs %s", cpu_instruction_set().c_str());
    } catch (const Error& error) {
      std::fputs(error.what(), stderr);
    }
    std::exit(0);
  };
  EXPECT_EXIT(say("baseline"), ::testing::ExitedWithCode(0), "runs baseline");
  EXPECT_EXIT(say(""), ::testing::ExitedWithCode(0), "runs (baseline|avx2|avx512)");
  EXPECT_EXIT(say("avx1024"), ::testing::ExitedWithCode(0),
              "PLASTICITY_ISA: expected baseline, avx2 or avx512, got 'avx1024'");
  EXPECT_EXIT(say("AVX2"), ::testing::ExitedWithCode(0), "PLASTICITY_ISA: expected baseline, avx2 or avx512");
}

}  // namespace
}  // namespace plasticity
