#include "plasticity/network.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "fail.hpp"
#include "memory.hpp"
#include "plasticity/plan.hpp"
#include "random.hpp"
#include "spec_metadata.hpp"

namespace plasticity {
namespace {

template <class Element>
Element* checked(const char* name, std::span<Element> view, std::int64_t expected) {
  if (static_cast<std::int64_t>(view.size()) != expected) {
    bad_argument(text("sequence.", name), text(expected, " elements"), text(view.size()));
  }
  return view.data();
}

/// An absent tensor is null; one that is there must have its size.
template <class Element>
Element* optional(const char* name, std::span<Element> view, std::int64_t expected) {
  return view.empty() ? nullptr : checked(name, view, expected);
}

/// The view's data if the spec has such an input, in its size; what it does not have must be absent.
template <class Element>
Element* input(const Spec& spec, std::int64_t steps, std::int64_t batch, const char* name,
               std::span<Element> view) {
  const std::optional<Shape> shape = input_shape(spec, steps, batch, name);
  if (!shape && !view.empty()) {
    bad_argument(text("sequence.", name), text("nothing for a network without it (", to_string(spec), ")"),
                 text(view.size(), " elements"));
  }
  return shape ? optional(name, view, shape->elements()) : nullptr;
}

/// A recorded forward pass.
struct Window {
  Sequence sequence;
  HostMemory tape;
  std::vector<float> y, modulation;
};

}  // namespace

struct Network::Implementation {
  struct Tensor {
    std::string_view name;
    Shape shape;
    float* Parameters<float>::*member;
    std::vector<float> value, gradient;
    bool trainable = true;
  };
  struct StateTensor {
    std::string_view name;
    float* State<float>::*member;
    std::vector<float> value, gradient;
  };

  Spec spec;
  NetworkOptions options;
  std::vector<Tensor> parameters;
  std::vector<StateTensor> state;
  std::map<std::int64_t, Plan> plans;  // by T
  HostMemory scratch;
  std::vector<Window>
      windows;  // the first `recorded` are in use; the others keep their memory for the next time
  std::size_t recorded = 0;
  bool chained = false;  // the state's gradient comes from a window that was taken back
  Window inferred;
  std::span<const float> last_modulation;

  Implementation(const Spec& wanted, const NetworkOptions& with) : spec(wanted), options(with) {
    if (with.precision == Precision::f64) bad_argument("options.precision", "f32 or bf16", "f64");
    (void)plan(1);  // refuses what is impossible before anything is allocated
    for (const auto& member : Parameters<float>::members()) {
      const std::optional<Shape> shape = parameter_shape(spec, member.name);
      if (!shape) continue;
      const auto size = static_cast<std::size_t>(shape->elements());
      parameters.push_back(
          {member.name, *shape, member.pointer, std::vector<float>(size), std::vector<float>(size)});
    }
    for (const auto& member : State<float>::members()) {
      const std::optional<Shape> shape = state_shape(spec, options.batch, member.name);
      if (!shape) continue;
      const auto size = static_cast<std::size_t>(shape->elements());
      state.push_back({member.name, member.pointer, std::vector<float>(size), std::vector<float>(size)});
    }
    initialise();
  }

  void initialise() {
    const bool lstm = spec.cell == Cell::lstm;
    const auto bound = [](std::int64_t size) {
      return 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(size, 1)));
    };
    std::uint64_t stream = 0;
    for (Tensor& tensor : parameters) {
      Random random(options.seed, stream++);
      const auto uniform = [&](double limit) {
        for (float& value : tensor.value) value = static_cast<float>(random.uniform(-limit, limit));
      };
      const auto normal = [&](double deviation) {
        for (float& value : tensor.value) value = static_cast<float>(deviation * random.normal());
      };
      const bool dense =
          tensor.name == "w" || tensor.name == "w_gates" || tensor.name == "w_in" || tensor.name == "b";
      if (lstm && dense) {
        uniform(bound(spec.neurons));
      } else if (tensor.name == "w" || tensor.name == "alpha") {
        normal(.01);
      } else if (tensor.name == "eta") {
        tensor.value[0] = .01f;
      } else if (tensor.name.starts_with("modulator")) {
        uniform(bound(spec.neurons));
      } else if (tensor.name.starts_with("fan_out")) {
        uniform(1);
      } else {
        uniform(bound(spec.inputs));
      }
    }
  }

  const Plan& plan(std::int64_t steps) {
    const auto found = plans.find(steps);
    if (found != plans.end()) return found->second;
    const Plan made(spec, {.steps = steps,
                           .batch = options.batch,
                           .device = options.device,
                           .precision = options.precision,
                           .checkpoint_interval = options.checkpoint_interval,
                           .memory_budget = options.memory_budget});
    return plans.emplace(steps, made).first->second;
  }

  Parameters<const float> parameter_pointers() const {
    Parameters<const float> pointers;
    const auto members = Parameters<const float>::members();
    for (const Tensor& tensor : parameters) {
      const auto member =
          std::find_if(members.begin(), members.end(), [&](auto& m) { return m.name == tensor.name; });
      pointers.*member->pointer = tensor.value.data();
    }
    return pointers;
  }

  State<float> state_pointers(std::vector<float> StateTensor::*part) {
    State<float> pointers;
    for (StateTensor& tensor : state) pointers.*tensor.member = (tensor.*part).data();
    return pointers;
  }

  Inputs<const float> inputs_of(const Sequence& sequence) const {
    const std::int64_t T = sequence.steps, B = options.batch;
    return {.x = input(spec, T, B, "x", sequence.x),
            .u = input(spec, T, B, "u", sequence.u),
            .pre = input(spec, T, B, "pre", sequence.pre),
            .rate = input(spec, T, B, "rate", sequence.rate)};
  }

  Masks<float> masks_of(const Sequence& sequence) const {
    const std::int64_t T = sequence.steps, B = options.batch, N = spec.neurons;
    return {.reset = optional("reset", sequence.reset, T * B),
            .length = optional("length", sequence.length, B),
            .clamp = optional("clamp", sequence.clamp, T * B * N),
            .clamp_value = optional("clamp_value", sequence.clamp_value, T * B * N)};
  }

  void run(Window& window, const Sequence& sequence, bool records) {
    if (sequence.steps < 0) bad_argument("sequence.steps", "at least 0", text(sequence.steps));
    const Plan& p = plan(sequence.steps);
    const std::int64_t rows = sequence.steps * options.batch;
    ForwardArgs<float> args;
    args.parameters = parameter_pointers();
    args.inputs = inputs_of(sequence);
    args.masks = masks_of(sequence);
    window.y.resize(static_cast<std::size_t>(rows * spec.neurons));
    window.modulation.resize(spec.has_modulator() ? static_cast<std::size_t>(rows) : 0);
    args.y = window.y.data();
    if (spec.has_modulator()) args.modulation = window.modulation.data();
    args.final_state = state_pointers(&StateTensor::value);
    args.initial_state = as_const(args.final_state);
    if (scratch.bytes() < p.scratch_bytes()) scratch = HostMemory(p.scratch_bytes());
    if (records && window.tape.bytes() < p.tape_bytes()) window.tape = HostMemory(p.tape_bytes());
    p.forward({}, args, records ? window.tape.as<Tape>() : Tape{}, scratch.as<Scratch>());
    window.sequence = sequence;
    last_modulation = window.modulation;
  }

  static State<const float> as_const(const State<float>& pointers) {
    return {pointers.y, pointers.c, pointers.hebb, pointers.eligibility};
  }

  template <class List>
  static auto& find(List& list, std::string_view name, const char* argument) {
    for (auto& tensor : list) {
      if (tensor.name == name) return tensor;
    }
    std::string names;
    for (auto& tensor : list) names += text(names.empty() ? "" : ", ", tensor.name);
    bad_argument(argument, text("one of ", names), text('\'', name, '\''));
  }
};

Network::Network(const Spec& spec, const NetworkOptions& options)
    : implementation_(std::make_unique<Implementation>(spec, options)) {}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

const Spec& Network::spec() const { return implementation_->spec; }
const NetworkOptions& Network::options() const { return implementation_->options; }

std::span<const float> Network::forward(const Sequence& sequence) {
  Implementation& self = *implementation_;
  if (self.chained && self.recorded > 0) {
    bad_argument("forward", "backward for every window, or detach(), before new steps are recorded",
                 text(self.recorded, " windows left"));
  }
  if (self.windows.size() == self.recorded) self.windows.emplace_back();
  Window& window = self.windows[self.recorded];
  self.run(window, sequence, true);
  ++self.recorded;
  self.chained = false;
  return window.y;
}

std::span<const float> Network::infer(const Sequence& sequence) {
  implementation_->run(implementation_->inferred, sequence, false);
  return implementation_->inferred.y;
}

std::span<const float> Network::modulation() const { return implementation_->last_modulation; }

void Network::backward(std::span<const float> dy, const SequenceGradients& gradients) {
  Implementation& self = *implementation_;
  if (self.recorded == 0) bad_argument("backward", "a window recorded by forward", "none");
  const Window& window = self.windows[self.recorded - 1];
  const Plan& p = self.plan(window.sequence.steps);
  const std::int64_t T = window.sequence.steps, B = self.options.batch;
  if (!dy.empty() && dy.size() != window.y.size()) {
    bad_argument("dy", text(window.y.size(), " elements"), text(dy.size()));
  }
  BackwardArgs<float> args;
  args.parameters = self.parameter_pointers();
  args.inputs = self.inputs_of(window.sequence);
  args.masks = self.masks_of(window.sequence);
  args.dy = dy.empty() ? nullptr : dy.data();
  args.dinputs = {.x = input(self.spec, T, B, "x", gradients.x),
                  .u = input(self.spec, T, B, "u", gradients.u),
                  .pre = input(self.spec, T, B, "pre", gradients.pre),
                  .rate = input(self.spec, T, B, "rate", gradients.rate)};
  for (Implementation::Tensor& tensor : self.parameters) {
    if (tensor.trainable) args.dparameters.*tensor.member = tensor.gradient.data();
  }
  args.dinitial_state = self.state_pointers(&Implementation::StateTensor::gradient);
  if (self.chained) args.dfinal_state = Implementation::as_const(args.dinitial_state);
  p.backward({}, args, window.tape.as<Tape>(), self.scratch.as<Scratch>());
  --self.recorded;
  self.chained = self.recorded > 0;
}

std::int64_t Network::windows() const { return static_cast<std::int64_t>(implementation_->recorded); }

void Network::reset() {
  detach();
  for (auto& tensor : implementation_->state) std::fill(tensor.value.begin(), tensor.value.end(), 0.0f);
}

void Network::detach() {
  implementation_->recorded = 0;
  implementation_->chained = false;
}

void Network::zero_gradients() {
  for (auto& tensor : implementation_->parameters)
    std::fill(tensor.gradient.begin(), tensor.gradient.end(), 0.0f);
}

std::vector<ParameterView> Network::parameters() {
  std::vector<ParameterView> views;
  for (auto& tensor : implementation_->parameters) {
    if (tensor.trainable)
      views.push_back({std::string(tensor.name), tensor.shape, tensor.value, tensor.gradient});
  }
  return views;
}

std::span<float> Network::parameter(std::string_view name) {
  return Implementation::find(implementation_->parameters, name, "name").value;
}

void Network::set_trainable(std::string_view name, bool trainable) {
  Implementation::find(implementation_->parameters, name, "name").trainable = trainable;
}

std::span<float> Network::state(std::string_view name) {
  return Implementation::find(implementation_->state, name, "name").value;
}

void Network::save(io::TensorFile& file) const {
  for (const auto& tensor : implementation_->parameters) {
    const std::vector<std::int64_t> shape(tensor.shape.size.begin(),
                                          tensor.shape.size.begin() + tensor.shape.rank);
    file.tensors[text("param.", tensor.name)] = io::make_tensor(shape, std::span<const float>(tensor.value));
  }
  write_spec(spec(), file);
}

void Network::load(const io::TensorFile& file) {
  const Spec theirs = read_spec(file);
  if (theirs != spec()) fail(ErrorCode::format, file.source, to_string(spec()), to_string(theirs));
  std::vector<std::vector<float>> values;
  for (const auto& tensor : implementation_->parameters) {
    const std::string name = text("param.", tensor.name);
    const io::Tensor& stored = file.at(name);
    const std::vector<std::int64_t> shape(tensor.shape.size.begin(),
                                          tensor.shape.size.begin() + tensor.shape.rank);
    if (stored.shape != shape) {
      fail(ErrorCode::format, text(file.source, " tensor '", name, "'"),
           text(tensor.shape.elements(), " elements in its shape"),
           text(io::elements(stored), " elements in another shape"));
    }
    values.push_back(io::to_floats(stored));
  }
  for (std::size_t k = 0; k < values.size(); ++k) {
    std::copy(values[k].begin(), values[k].end(), implementation_->parameters[k].value.begin());
  }
}

Spec load_spec(const io::TensorFile& file) { return read_spec(file); }

}  // namespace plasticity
