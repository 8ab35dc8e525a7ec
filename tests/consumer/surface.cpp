// Uses the functions that the public headers declare, so that a shared library that does not export one of
// them fails to link. Also catches an exception that the library throws.
#include <plasticity/plasticity.hpp>

#include <array>
#include <complex>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

using namespace plasticity;

namespace {

template <class Function>
bool exists(Function* function) {
  return function != nullptr;
}

template <class Enum>
bool names_and_parses() {
  for (const std::string_view name : names<Enum>()) {
    if (to_string(parse<Enum>(name, "name")) != name) return false;
  }
  return true;
}

template <class Real>
bool reference_exists() {
  return exists(&reference::forward<Real>) && exists(&reference::backward<Real>);
}

bool error_is_caught() {
  try {
    Network network(Spec{.neurons = 0}, {.device = Device::cpu(1)});
  } catch (const Error& error) {
    return error.code() == ErrorCode::invalid_spec && std::strstr(error.what(), "neurons") != nullptr;
  }
  return false;
}

/// A check that -ffast-math would remove.
bool nan_is_found() {
  std::array<float, 1> value{1}, gradient{std::numeric_limits<float>::quiet_NaN()};
  const std::vector<ParameterView> parameters = {{.name = "w", .value = value, .gradient = gradient}};
  try {
    Adam().step(parameters);
  } catch (const Error& error) {
    return std::strstr(error.what(), "'w'") != nullptr && value[0] == 1;
  }
  return false;
}

bool modules_work() {
  const Spec spec{.rate = Rate::modulated, .inputs = 2, .neurons = 3};
  const Device device = Device::cpu(1);
  Network network(spec, {.batch = 1, .device = device});
  std::array<float, 4> x{1, 2, 3, 4};
  std::array<float, 6> dy{1, 1, 1, 1, 1, 1};
  (void)network.infer({.steps = 2, .x = x});
  const bool modulated = network.modulation().size() == 2;
  network.forward({.steps = 2, .x = x});
  network.backward(dy);
  Linear linear(3, 2, 1);
  std::array<float, 4> logits{}, dlogits{};
  linear.forward(network.infer({.steps = 2, .x = x}), logits);
  const std::array<std::int64_t, 2> labels{0, 1};
  const double loss = softmax_cross_entropy(logits, labels, 2, dlogits) + mse_loss(logits, dlogits, {});
  Adam adam;
  clip_gradients(network.parameters(), 1);
  adam.step(network.parameters());
  io::TensorFile file;
  network.save(file);
  adam.save(file);
  network.load(file);
  adam.load(file);
  network.set_trainable("w", false);
  network.detach();
  network.reset();
  network.zero_gradients();
  Trainer trainer(network, {.clip_norm = 1, .reduction = Reduction::relative});
  trainer.load(file);
  trainer.set_learning_rate(1e-2);
  const auto no_loss = [](std::span<const float> a, std::span<float>) { return a.size() == 6 ? 0.0 : 1.0; };
  const bool preactivation_is_trained = network.preactivation().empty() &&
                                        trainer.step_on_preactivation({.steps = 2, .x = x}, no_loss) == 0 &&
                                        trainer.step_labels({.steps = 2, .x = x}, labels) > 0;
  trainer.load(file);
  const bool trained = trainer.step({.steps = 2, .x = x}, dy) > 0 && trainer.steps() == 2 &&
                       trainer.y().size() == 6 && trainer.modulation().size() == 2;
  io::TensorFile resumed;
  network.save(resumed);
  trainer.save(resumed);
  return trained && preactivation_is_trained && modulated && loss > 0 && load_spec(file) == spec &&
         network.state("hebb").size() == 9 && network.parameter("w").size() == 9 && network.windows() == 0 &&
         network.options().batch == 1 && load_spec(resumed) == spec;
}

/// squared_error(), clip_gradients() and adam_step() on the caller's buffers.
bool training_calls_work() {
  const Device device = Device::cpu(1);
  std::array<float, 2> value{1, 2}, gradient{}, first{}, second{};
  const std::array<float, 2> target{0, 0};
  const DeviceMemory scratch(device, training_scratch_bytes(device));
  double loss = 0, norm = 0;
  squared_error(
      device, {},
      {.elements = 2, .y = value.data(), .target = target.data(), .dy = gradient.data(), .loss = &loss},
      scratch.as<Scratch>());
  const std::array<TrainedTensor, 1> tensors{
      {{value.data(), gradient.data(), first.data(), second.data(), 2}}};
  clip_gradients(device, {}, tensors, 1, &norm, scratch.as<Scratch>());
  std::array<float, 2> y{}, dweight{}, dbias{};
  const std::array<float, 1> x{2};
  linear_forward(device, {},
                 {.rows = 1,
                  .inputs = 1,
                  .outputs = 2,
                  .x = x.data(),
                  .weight = value.data(),
                  .bias = value.data(),
                  .y = y.data()});
  linear_backward(device, {},
                  {.rows = 1,
                   .inputs = 1,
                   .outputs = 2,
                   .x = x.data(),
                   .dy = y.data(),
                   .dweight = dweight.data(),
                   .dbias = dbias.data()},
                  {});
  const bool linear =
      y[1] == 6 && dweight[1] == 12 && dbias[1] == 6 && linear_scratch_bytes(device, 1, 2) == 0;
  const AdamScales scales = adam_scales({}, 1);
  adam_step(device, {}, tensors, {}, &scales);
  return linear && loss == 2.5 && norm > 2 && value[0] < 1;
}

bool plan_works() {
  const Spec spec{.neurons = 3};
  const Device device = Device::cpu(1);
  const Plan plan(spec, {.steps = 1, .batch = 1, .device = device});
  const DeviceMemory step_state(device, plan.step_state_bytes()), scratch(device, plan.scratch_bytes());
  fill_zero(device, {}, step_state.data(), step_state.bytes());
  std::array<float, 9> w{}, alpha{};
  std::array<float, 3> u{1, 2, 3}, y{};
  float eta = .1f;
  StepArgs<float> args;
  args.parameters = {.w = w.data(), .alpha = alpha.data(), .eta = &eta};
  args.inputs.u = u.data();
  args.y = y.data();
  plan.load({}, State<const float>{}, step_state.as<StepState>());
  plan.step({}, args, step_state.as<StepState>(), scratch.as<Scratch>());
  std::array<float, 3> taken{};
  State<float> state;
  state.y = taken.data();
  plan.store({}, state, step_state.as<StepState>());
  std::array<float, 3> copied{};
  copy(device, {}, copied.data(), taken.data(), sizeof copied);
  synchronize(device, {});
  return copied == y && y[0] > .7f && plan.checkpoint_interval() >= 1 && plan.tape_bytes() > 0;
}

bool files_exist() {
  const io::Tensor tensor = io::make_tensor({2}, std::span<const float>(std::array<float, 2>{1, 2}));
  return io::elements(tensor) == 2 && io::to_floats(tensor)[1] == 2 && io::to_doubles(tensor)[0] == 1 &&
         io::element_bytes(tensor.dtype) == 4 && io::to_string(tensor.dtype) == "F32" && exists(&io::load) &&
         exists(&io::save) && exists(&io::read_idx_images) && exists(&io::write_png);
}

bool device_matches_linkage() {
  const std::string reason = cuda_unavailable_reason();
#ifdef WITH_CUDA
  const bool linked = reason.find("does not link plasticity::cuda") == std::string::npos;
#else
  const bool linked = reason.find("does not link plasticity::cuda") != std::string::npos;
#endif
  if (!linked) std::printf("cuda_unavailable_reason(): '%s'\n", reason.c_str());
  return linked && !Device::best().name().empty() && !cpu_instruction_set().empty();
}

bool version_matches_headers() {
  char headers[32];
  std::snprintf(headers, sizeof headers, "%d.%d.%d", PLASTICITY_VERSION_MAJOR, PLASTICITY_VERSION_MINOR,
                PLASTICITY_VERSION_PATCH);
  return std::strcmp(version(), headers) == 0;
}

}  // namespace

int main() {
  int failures = 0;
  const auto expect = [&](const char* what, bool holds) {
    if (!holds) std::printf("failed: %s\n", what);
    failures += holds ? 0 : 1;
  };
  expect("names", names_and_parses<Cell>() && names_and_parses<Rule>() && names_and_parses<Rate>() &&
                      names_and_parses<Eligibility>() && names_and_parses<Granularity>() &&
                      names_and_parses<Activation>() && names_and_parses<ModulatorSource>() &&
                      names_and_parses<Precision>() && !to_string(Spec{}).empty() &&
                      to_string(ErrorCode::io) == "io");
  expect("reference",
         reference_exists<float>() && reference_exists<double>() && reference_exists<std::complex<double>>());
  expect("shapes",
         parameter_shape(Spec{}, "w") && state_shape(Spec{}, 1, "hebb") && input_shape(Spec{}, 1, 1, "u"));
  expect("an error", error_is_caught());
  expect("a NaN", nan_is_found());
  expect("modules", modules_work());
  expect("training calls", training_calls_work());
  expect("a plan", plan_works());
  expect("files", files_exist());
  expect("devices", device_matches_linkage());
  expect("the version", version_matches_headers());
  std::printf("plasticity %s: %d failures\n", version(), failures);
  return failures == 0 ? 0 : 1;
}
