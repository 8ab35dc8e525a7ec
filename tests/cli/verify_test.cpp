// `plasticity verify` on parity cases, right and wrong ones.
#include <fstream>

#include "cli/tool.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity {
namespace {

TEST_F(Tool, VerifyPassesAllCases) {
  for (const char* options : {"--device reference", "--device cpu", "--device cpu --precision f32"}) {
    const Outcome outcome = run(std::string("verify ") + options + " " + cases + "*.safetensors");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    EXPECT_EQ(last_line(outcome.output), "23 passed, 0 failed") << options;
    EXPECT_TRUE(outcome.output.starts_with("ok ff_decay_2016 worst ")) << outcome.output;
  }
}

TEST_F(Tool, VerifyReportsFailuresAndContinues) {
  io::TensorFile file = io::load(cases + "rnn_oja_2018.safetensors");
  std::vector<double> w = io::to_doubles(file.at("grad.w"));
  w[7] += .5;  // [1,2]
  file.tensors.at("grad.w") = io::make_tensor({5, 5}, std::span<const double>(w));
  io::save(at("wrong.safetensors"), file);
  file.tensors.erase("param.w");
  io::save(at("incomplete.safetensors"), file);
  std::ofstream(at("invalid.safetensors")) << "not a file of tensors";
  const Outcome outcome = run("verify " + at("wrong.safetensors") + " " + at("incomplete.safetensors") + " " +
                              at("invalid.safetensors") + " " + at("missing.safetensors") + " " + cases +
                              "rnn_soft_clip.safetensors");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome, "FAIL wrong grad.w at [1,2]: got ")) << outcome.output;
  EXPECT_TRUE(has(outcome, "FAIL incomplete ") && has(outcome, "param.w")) << outcome.output;
  EXPECT_TRUE(has(outcome, "FAIL invalid ")) << outcome.output;
  EXPECT_TRUE(has(outcome, "FAIL missing ")) << outcome.output;
  EXPECT_TRUE(has(outcome, "ok rnn_soft_clip worst ")) << outcome.output;
  EXPECT_EQ(last_line(outcome.output), "1 passed, 4 failed");
}

}  // namespace
}  // namespace plasticity
