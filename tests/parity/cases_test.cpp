// The parity cases: answers of an independent implementation in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "parity/plan_runner.hpp"
#include "plasticity/error.hpp"
#include "plasticity/reference.hpp"

namespace plasticity::parity {
namespace {

std::vector<std::filesystem::path> case_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(PLASTICITY_TEST_DATA "/parity")) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

template <class Real>
void run_on_cpu(const Case& c, Buffers<Real>& buffers) {
  PlanRunner(Device::cpu(2), sizeof(Real) == 8 ? Precision::f64 : Precision::f32).run(c, buffers);
}

template <class Real>
void expect_parity(const Case& c, const Buffers<Real>& buffers, Precision precision) {
  const Comparison comparison = compare(c, buffers, tolerance(precision, c.steps));
  EXPECT_TRUE(comparison.passed) << c.name << ' ' << comparison.detail << " error " << comparison.error;
}

class Parity : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(Parity, Reference) {
  const Case c = load_case(GetParam());
  Buffers<double> buffers(c);
  reference::forward(c.spec, c.steps, c.batch, buffers.forward);
  reference::backward(c.spec, c.steps, c.batch, buffers.backward);
  expect_parity(c, buffers, Precision::f64);
}

TEST_P(Parity, CpuDouble) {
  const Case c = load_case(GetParam());
  Buffers<double> buffers(c);
  run_on_cpu(c, buffers);
  expect_parity(c, buffers, Precision::f64);
}

TEST_P(Parity, CpuFloat) {
  const Case c = load_case(GetParam());
  Buffers<float> buffers(c);
  run_on_cpu(c, buffers);
  expect_parity(c, buffers, Precision::f32);
}

INSTANTIATE_TEST_SUITE_P(Cases, Parity, ::testing::ValuesIn(case_files()),
                         [](const auto& test) { return test.param.stem().string(); });

TEST(ParityFiles, AreThere) { EXPECT_GE(case_files().size(), 22u); }

TEST(ParityFiles, ALengthThatIsNoneIsNamed) {
  Case c = load_case(PLASTICITY_TEST_DATA "/parity/rnn_lengths.safetensors");
  for (const double wrong : {-1.0, static_cast<double>(c.steps) + 1, 0.5, 1e300, std::nan("")}) {
    std::vector<double> lengths(static_cast<std::size_t>(c.batch), 1);
    lengths.back() = wrong;
    c.file.tensors.at("mask.length") = io::make_tensor({c.batch}, std::span<const double>(lengths));
    try {
      const Buffers<double> buffers(c);
      ADD_FAILURE() << "accepted: " << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::format);
      EXPECT_NE(std::string(error.what()).find("tensor 'mask.length': expected whole numbers from 0 to"),
                std::string::npos)
          << error.what();
    }
  }
}

// The comparison can fail, says where, and is not fooled by NaN.
TEST(ParityFiles, AWrongAnswerIsNamed) {
  const Case c = load_case(case_files().front());
  Buffers<double> buffers(c);
  reference::forward(c.spec, c.steps, c.batch, buffers.forward);
  reference::backward(c.spec, c.steps, c.batch, buffers.backward);
  for (const double wrong : {1e-3, std::nan("")}) {
    const double right = buffers.forward.y[1];
    buffers.forward.y[1] += wrong;
    const Comparison comparison = compare(c, buffers, 1e-10);
    EXPECT_FALSE(comparison.passed);
    EXPECT_EQ(comparison.tensor, "expect.y");
    EXPECT_NE(comparison.detail.find("expect.y at [0,0,1]: got "), std::string::npos) << comparison.detail;
    buffers.forward.y[1] = right;
  }
}

}  // namespace
}  // namespace plasticity::parity
