#include "base/throw_error.hpp"
#include "plasticity/reference.hpp"
#include "tool/cli/commands.hpp"
#include "tool/parity/plan_runner.hpp"

namespace plasticity::cli {
namespace {

struct ReferenceRunner : parity::Runner {
  template <class Real>
  static void both(const parity::Case& c, parity::Buffers<Real>& buffers) {
    reference::forward(c.spec, c.steps, c.batch, buffers.forward);
    reference::backward(c.spec, c.steps, c.batch, buffers.backward);
  }
  void run(const parity::Case& c, parity::Buffers<float>& buffers) override { both(c, buffers); }
  void run(const parity::Case& c, parity::Buffers<double>& buffers) override { both(c, buffers); }
};

struct Options {
  std::string device = "cpu";
  Precision precision = Precision::f64;
  Execution execution = Execution::automatic;
  std::vector<std::string> files;
};

int run(const Options& options) {
  if (options.device != "cuda" && options.execution != Execution::automatic) {
    bad_argument("--execution", str_cat("automatic with --device ", options.device),
                 std::string(to_string(options.execution)));
  }
  if (options.device == "reference") {
    if (options.precision == Precision::bf16)
      bad_argument("--precision", "f64 or f32 with --device reference", "bf16");
    ReferenceRunner runner;
    return parity::verify(options.files, options.precision, runner);
  }
  parity::PlanRunner runner(device_of(options.device, 0), options.precision, options.execution);
  return parity::verify(options.files, options.precision, runner);
}

}  // namespace

void add_verify(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("verify", "Runs parity cases and compares every output and gradient");
  command->add_option("--device", options->device, "Device that runs the cases")
      ->check(CLI::IsMember({"reference", "cpu", "cuda"}))
      ->capture_default_str();
  const CLI::Option* const precision = add_choice(
      *command, "--precision", options->precision,
      "Arithmetic; bf16: float, with bfloat16 traces on the tape. With --device cuda the default is f32");
  add_choice(*command, "--execution,--path", options->execution, "Kernels of --device cuda");
  command->add_option("FILE", options->files, "Cases (.safetensors)")->required();
  command->callback([options, precision, &exit_code] {
    if (options->device == "cuda" && precision->count() == 0) options->precision = Precision::f32;
    exit_code = run(*options);
  });
}

}  // namespace plasticity::cli
