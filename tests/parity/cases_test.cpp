// Compares the library with the parity cases: outputs and gradients of an independent implementation in
// float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "plasticity/error.hpp"
#include "plasticity/reference.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/test_data.hpp"
#include "tool/parity/plan_runner.hpp"

namespace plasticity::parity {
namespace {

template <class Real>
void expect_parity(const Case& c, const Buffers<Real>& buffers, Precision precision) {
  const Comparison comparison = compare(c, buffers, tolerance(precision, c.steps));
  EXPECT_TRUE(comparison.passed) << c.name << ' ' << comparison.detail << " error " << comparison.error;
}

template <class Real>
void run_on_cpu(const Case& c, Buffers<Real>& buffers, Precision precision) {
  PlanRunner(Device::cpu(2), precision).run(c, buffers);
  expect_parity(c, buffers, precision);
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
  run_on_cpu(c, buffers, Precision::f64);
}

TEST_P(Parity, CpuFloat) {
  const Case c = load_case(GetParam());
  Buffers<float> buffers(c);
  run_on_cpu(c, buffers, Precision::f32);
}

TEST_P(Parity, CpuBfloat) {
  const Case c = load_case(GetParam());
  Buffers<float> buffers(c);
  run_on_cpu(c, buffers, Precision::bf16);
}

INSTANTIATE_TEST_SUITE_P(Cases, Parity, ::testing::ValuesIn(testing::parity_cases()),
                         [](const auto& test) { return test.param.stem().string(); });

TEST(ParityFiles, Exist) { EXPECT_GE(testing::parity_cases().size(), 22u); }

TEST(ParityFiles, RefuseWrongLengths) {
  Case c = load_case(testing::test_data() / "parity/rnn_lengths.safetensors");
  for (const double wrong : {-1.0, static_cast<double>(c.steps) + 1, 0.5, 1e300, std::nan("")}) {
    std::vector<double> lengths(static_cast<std::size_t>(c.batch), 1);
    lengths.back() = wrong;
    c.file.tensors.at("mask.length") = io::make_tensor({c.batch}, std::span<const double>(lengths));
    SCOPED_TRACE(wrong);
    testing::expect_error([&] { Buffers<double> buffers(c); }, ErrorCode::format,
                          "tensor 'mask.length': expected whole numbers from 0 to");
  }
}

/// Changes one thing of a valid case, which load_case() must then refuse by name.
class WrongCase : public ::testing::Test {
 protected:
  WrongCase() : good(io::load(testing::test_data() / "parity/rnn_decay_2018.safetensors")) {}

  void expect_refused(const io::TensorFile& wrong, const std::string& part) const {
    io::save(path, wrong);
    testing::expect_error([&] { (void)load_case(path); }, ErrorCode::format, part);
  }

  const io::TensorFile good;
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder / "case.safetensors";
};

TEST_F(WrongCase, Metadata) {
  const auto refused = [&](const std::string& key, const std::string& value, const std::string& part) {
    io::TensorFile wrong = good;
    wrong.metadata[key] = value;
    expect_refused(wrong, part);
  };
  refused("format", "plasticity-parity-9",
          "metadata 'format': expected plasticity-parity-1, got plasticity-parity-9");
  refused("T", "ten", "'T': expected a number, got 'ten'");
  refused("T", "10 ", "'T': expected a number, got '10 '");
  refused("B", "-1", "T and B at least 0, got ");
  refused("rule", "hebb", "'rule': expected one of decay ");
  refused("N", "0", "metadata: spec.neurons: expected at least 1, got 0");
  refused("I", "-1", "metadata: spec.inputs: expected at least 0, got -1");
  io::TensorFile wrong = good;
  wrong.metadata.erase("B");
  expect_refused(wrong, "'B'");
}

TEST_F(WrongCase, Tensors) {
  const auto refused = [&](const std::string& name, const std::string& part) {
    io::TensorFile wrong = good;
    wrong.tensors[name] = io::make_tensor({3, 1, 1}, std::vector<float>(3));
    expect_refused(wrong, "tensor '" + name + "': expected " + part);
  };
  for (const char* name : {"nonsense", "param.nonsense", "input.nonsense", "mask.nonsense", "state.y",
                           "state.z0", "expect.nonsense", "grad.nonsense", "else.y", "expect.modulation"}) {
    refused(name, "only tensors of a case of rnn decay");
  }
  for (const char* name :
       {"expect.y", "param.w", "mask.length", "mask.reset", "mask.clamp", "state.y0", "grad.w"}) {
    refused(name, "shape [");
  }
  for (const char* name : {"param.w", "expect.y"}) {
    io::TensorFile wrong = good;
    wrong.tensors.erase(name);
    expect_refused(wrong, name);
  }
  io::TensorFile wrong = good;
  wrong.tensors.erase("mask.clamp_value");
  wrong.tensors["mask.clamp"] = good.at("expect.y");
  expect_refused(wrong, "mask.clamp_value");
}

// The comparison fails for wrong values and for NaN, and names the element.
TEST(ParityFiles, ComparisonNamesWrongValues) {
  const Case c = load_case(testing::parity_cases().front());
  Buffers<double> buffers(c);
  reference::forward(c.spec, c.steps, c.batch, buffers.forward);
  reference::backward(c.spec, c.steps, c.batch, buffers.backward);
  for (const double error : {1e-3, std::nan("")}) {
    const double correct = buffers.forward.y[1];
    buffers.forward.y[1] += error;
    const Comparison comparison = compare(c, buffers, 1e-10);
    EXPECT_FALSE(comparison.passed);
    EXPECT_EQ(comparison.tensor, "expect.y");
    EXPECT_NE(comparison.detail.find("expect.y at [0,0,1]: got "), std::string::npos) << comparison.detail;
    buffers.forward.y[1] = correct;
  }
}

}  // namespace
}  // namespace plasticity::parity
