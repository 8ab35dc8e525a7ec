#include "plasticity/stack.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <utility>

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "device/host_memory.hpp"
#include "io/file_keys.hpp"
#include "io/spec_metadata.hpp"
#include "network/implementation.hpp"
#include "network/stack_description.hpp"
#include "network/use_guard.hpp"

namespace plasticity {
namespace {

/// Fills in the sources and the widths of the inputs.
std::vector<StackLayer> completed(std::int64_t inputs, std::vector<StackLayer> layers) {
  if (inputs < 1) bad_argument("inputs", "at least 1", str_cat(inputs));
  if (layers.empty()) bad_argument("layers", "at least 1 layer", "none");
  for (std::size_t k = 0; k < layers.size(); ++k) {
    StackLayer& layer = layers[k];
    const std::string argument = str_cat("layers[", k, "]");
    if (layer.from.empty()) layer.from = {static_cast<int>(k) - 1};
    std::int64_t width = 0;
    for (const int source : layer.from) {
      if (source < Stack::input || source >= static_cast<int>(k)) {
        bad_argument(argument + ".from", str_cat("indices from -1 to ", static_cast<int>(k) - 1),
                     str_cat(source));
      }
      const std::int64_t of_source =
          source == Stack::input ? inputs : layers[static_cast<std::size_t>(source)].spec.neurons;
      if (__builtin_add_overflow(width, of_source, &width) || width > max_elements)
        bad_argument(argument + ".from", "sources of at most 2^48 elements together", "more");
    }
    if (layer.spec.inputs == 0) layer.spec.inputs = width;
    if (layer.spec.inputs != width) {
      bad_argument(argument + ".spec.inputs", str_cat("0 or ", width, ", the width of its sources"),
                   str_cat(layer.spec.inputs));
    }
    if (layer.spec.rate == Rate::external)
      bad_argument(argument + ".spec.rate", "fixed, modulated or fan_out in a stack", "external");
  }
  return layers;
}

}  // namespace

struct Stack::Implementation {
  using NextState = Network::Implementation::NextState;
  std::int64_t inputs;
  std::vector<StackLayer> layers;
  std::string name;
  std::vector<Network> networks{};
  std::vector<std::vector<float>> joined{};     // [T,B,I] input of each layer that has several sources
  std::vector<std::vector<float>> gradients{};  // [T,B,N] upstream gradient of each layer
  std::vector<float> dinput{};                  // [T,B,I] gradient of a layer's input
  std::vector<std::int64_t> steps{};            // of each window
  UseGuard guard{};

  Implementation(std::int64_t width, std::vector<StackLayer> list, const NetworkOptions& options)
      : inputs(width), layers(completed(width, std::move(list))), name(options.name) {
    for (std::size_t k = 0; k < layers.size(); ++k) {
      NetworkOptions own = options;
      own.name = layer_name(name, k);
      networks.emplace_back(layers[k].spec, own);
    }
    joined.resize(layers.size());
    gradients.resize(layers.size());
  }
  /// The layers of another stack with the networks that `network_of` returns for its networks.
  template <class NetworkOf>
  Implementation(const Implementation& other, NetworkOf network_of)
      : inputs(other.inputs), layers(other.layers), name(other.name) {
    for (const Network& network : other.networks) networks.push_back(network_of(network));
    joined.resize(layers.size());
    gradients.resize(layers.size());
  }

  std::int64_t width_of(int source) const {
    return source == Stack::input ? inputs : layers[static_cast<std::size_t>(source)].spec.neurons;
  }
  /// Begins a call on every layer.
  std::list<Network::Implementation::Call> calls(ParameterAccess access) {
    std::list<Network::Implementation::Call> list;
    for (Network& network : networks) list.emplace_back(*network.implementation_, access);
    return list;
  }
  bool is_feedforward(std::size_t k) const { return layers[k].spec.cell == Cell::feedforward; }
  std::span<const float> input_of(std::size_t k, std::int64_t rows, std::span<const float> x,
                                  const std::vector<std::span<const float>>& outputs);
  std::span<const float> run(const StackSequence& sequence, bool records);
  void backward(std::span<const float> dy, std::span<float> dx, std::span<const float> da);
  void backward_layers(std::int64_t rows, std::span<float> dx, std::span<const float> da);
  void reset(std::int64_t batch);
  void adopt(std::vector<NextState> next);
  void discard();  // sets all states to zero and removes the windows, without memory
  void add_to_sources(std::size_t k, std::int64_t rows, std::span<float> dx);
  std::map<std::string, std::string> description() const { return describe_stack(name, inputs, layers); }
};

/// Returns the input of layer k, [rows, inputs].
std::span<const float> Stack::Implementation::input_of(std::size_t k, std::int64_t rows,
                                                       std::span<const float> x,
                                                       const std::vector<std::span<const float>>& outputs) {
  const auto source_of = [&](int source) {
    return source == Stack::input ? x : outputs[static_cast<std::size_t>(source)];
  };
  const std::vector<int>& from = layers[k].from;
  if (from.size() == 1) return source_of(from[0]);
  const std::int64_t width = layers[k].spec.inputs;
  resize_host(joined[k], rows * width);
  std::int64_t column = 0;
  for (const int source : from) {
    const std::int64_t columns = width_of(source);
    const float* rows_of_source = source_of(source).data();
    for (std::int64_t row = 0; row < rows; ++row)
      std::copy_n(rows_of_source + row * columns, columns, joined[k].data() + row * width + column);
    column += columns;
  }
  return joined[k];
}

std::span<const float> Stack::Implementation::run(const StackSequence& sequence, bool records) {
  const std::int64_t B = networks[0].batch(), rows = sequence.steps * B;
  if (sequence.steps < 0) bad_argument("sequence.steps", "at least 0", str_cat(sequence.steps));
  if (static_cast<std::int64_t>(sequence.x.size()) != rows * inputs) {
    bad_argument("sequence.x", str_cat(rows * inputs, " elements"), str_cat(sequence.x.size()));
  }
  if (records) {
    for (const Network& network : networks) network.implementation_->check_state_continues();
  }
  steps.reserve(steps.size() + 1);
  std::vector<std::span<const float>> outputs;
  outputs.reserve(networks.size());
  for (std::size_t k = 0; k < networks.size(); ++k) {
    try {
      Sequence part{.steps = sequence.steps,
                    .batch = sequence.batch,
                    .reset = sequence.reset,
                    .length = sequence.length};
      (is_feedforward(k) ? part.pre : part.x) = input_of(k, rows, sequence.x, outputs);
      outputs.push_back(records ? networks[k].forward(part) : networks[k].infer(part));
    } catch (...) {
      // The first layer checks all arguments. A later layer fails only if memory runs out.
      if (k > 0) discard();
      throw;
    }
  }
  if (records) steps.push_back(sequence.steps);
  return outputs.back();
}

/// Adds the gradient of layer k's input to the upstream gradients of its sources, and to dx.
void Stack::Implementation::add_to_sources(std::size_t k, std::int64_t rows, std::span<float> dx) {
  const std::int64_t width = layers[k].spec.inputs;
  std::int64_t column = 0;
  for (const int source : layers[k].from) {
    const std::int64_t columns = width_of(source);
    const std::span<float> to = source == Stack::input ? dx : gradients[static_cast<std::size_t>(source)];
    for (std::int64_t row = 0; !to.empty() && row < rows; ++row) {
      const float* values = dinput.data() + row * width + column;
      float* sums = to.data() + row * columns;
      for (std::int64_t j = 0; j < columns; ++j) sums[j] += values[j];
    }
    column += columns;
  }
}

void Stack::Implementation::backward(std::span<const float> dy, std::span<float> dx,
                                     std::span<const float> da) {
  if (steps.empty()) bad_argument("backward", "a window that forward() recorded", "none");
  const std::int64_t rows = steps.back() * networks[0].batch();
  const auto check = [&](const char* argument, std::size_t size, std::int64_t width) {
    if (size > 0 && static_cast<std::int64_t>(size) != rows * width)
      bad_argument(argument, str_cat(rows * width, " elements"), str_cat(size));
  };
  check("dy", dy.size(), layers.back().spec.neurons);
  check("dx", dx.size(), inputs);
  check("da", da.size(), layers.back().spec.neurons);
  for (const Network& network : networks) network.implementation_->check_last_window();
  for (std::size_t k = 0; k < layers.size(); ++k)
    gradients[k].assign(static_cast<std::size_t>(rows * layers[k].spec.neurons), 0.0f);
  std::copy(dy.begin(), dy.end(), gradients.back().begin());
  backward_layers(rows, dx, da);
  steps.pop_back();
}

void Stack::Implementation::backward_layers(std::int64_t rows, std::span<float> dx,
                                            std::span<const float> da) {
  for (std::size_t k = layers.size(); k-- > 0;) {
    const bool is_last = k + 1 == layers.size();
    try {
      dinput.assign(static_cast<std::size_t>(rows * layers[k].spec.inputs), 0.0f);
      SequenceGradients wanted;
      (is_feedforward(k) ? wanted.pre : wanted.x) = dinput;
      networks[k].backward(gradients[k], wanted, {.preactivation = is_last ? da : std::span<const float>()});
    } catch (...) {
      // The last layer checks all arguments. An earlier layer fails only if memory runs out.
      if (!is_last) discard();
      throw;
    }
    if (is_last) std::fill(dx.begin(), dx.end(), 0.0f);  // now, because dx may alias da
    add_to_sources(k, rows, dx);
  }
}

void Stack::Implementation::reset(std::int64_t batch) {
  std::vector<NextState> next;
  for (Network& network : networks) {
    Network::Implementation& layer = *network.implementation_;
    next.push_back(layer.zero_state(layer.batch_after_reset(batch)));
  }
  adopt(std::move(next));
}

void Stack::Implementation::adopt(std::vector<NextState> next) {
  for (std::size_t k = 0; k < networks.size(); ++k) networks[k].implementation_->adopt(std::move(next[k]));
  steps.clear();
}

void Stack::Implementation::discard() {
  for (Network& network : networks) network.implementation_->adopt({});
  steps.clear();
}

Stack::Stack(std::int64_t inputs, std::vector<StackLayer> layers, const NetworkOptions& options)
    : implementation_(std::make_unique<Implementation>(inputs, std::move(layers), options), "stack") {}
Stack::~Stack() = default;
Stack::Stack(Stack&&) noexcept = default;
Stack& Stack::operator=(Stack&&) noexcept = default;

Stack::Stack(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation), "stack") {}

Stack Stack::clone() const {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  const auto clone_of = [](const Network& network) { return network.clone(); };
  return Stack(std::make_unique<Implementation>(*implementation_, clone_of));
}

Stack Stack::share(std::int64_t batch) const {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  const auto share_of = [batch](const Network& network) { return network.share(batch); };
  return Stack(std::make_unique<Implementation>(*implementation_, share_of));
}

std::int64_t Stack::inputs() const { return implementation_->inputs; }
std::int64_t Stack::outputs() const { return implementation_->layers.back().spec.neurons; }
std::int64_t Stack::batch() const { return implementation_->networks[0].batch(); }
const std::vector<StackLayer>& Stack::layers() const { return implementation_->layers; }

Network& Stack::layer(std::size_t index) {
  if (index >= implementation_->networks.size())
    bad_argument("index", str_cat("below ", implementation_->networks.size()), str_cat(index));
  return implementation_->networks[index];
}

std::span<const float> Stack::preactivation() const {
  return implementation_->networks.back().preactivation();
}

std::span<const float> Stack::forward(const StackSequence& sequence) {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  return implementation_->run(sequence, /*records=*/true);
}

std::span<const float> Stack::infer(const StackSequence& sequence) {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  return implementation_->run(sequence, /*records=*/false);
}

void Stack::backward(std::span<const float> dy, std::span<float> dx, std::span<const float> da) {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  implementation_->backward(dy, dx, da);
}

std::int64_t Stack::windows() const { return static_cast<std::int64_t>(implementation_->steps.size()); }

void Stack::reset(std::int64_t batch) {
  const UseGuard::Exclusive guard(implementation_->guard, stack_in_use);
  const auto calls = implementation_->calls(ParameterAccess::read);
  implementation_->reset(batch);
}

void Stack::detach() {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  for (Network& network : implementation_->networks) network.detach();
  implementation_->steps.clear();
}

void Stack::zero_gradients() {
  for (Network& network : implementation_->networks) network.zero_gradients();
}

std::vector<ParameterView> Stack::parameters() {
  std::vector<ParameterView> views;
  for (Network& network : implementation_->networks) {
    for (ParameterView& view : network.parameters()) views.push_back(std::move(view));
  }
  return views;
}

void Stack::save(io::TensorFile& file) const {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  io::TensorFile part;
  part.metadata = implementation_->description();
  for (const Network& network : implementation_->networks) network.save(part);
  add_to_file(std::move(part), file);
}

void Stack::save_state(io::TensorFile& file) const {
  const UseGuard::Exclusive call(implementation_->guard, stack_in_use);
  io::TensorFile part;
  for (const Network& network : implementation_->networks) network.save_state(part);
  add_to_file(std::move(part), file);
}

void Stack::load(const io::TensorFile& file) {
  const UseGuard::Exclusive guard(implementation_->guard, stack_in_use);
  Implementation& self = *implementation_;
  for (const auto& [key, value] : self.description()) {
    if (read_metadata(file, key) != value) {
      throw_error(ErrorCode::format, place_in(file, str_cat("metadata '", key, "'")),
                  str_cat('\'', value, '\''), str_cat('\'', read_metadata(file, key), '\''));
    }
  }
  const auto calls = self.calls(ParameterAccess::write);
  std::vector<NetworkParameters<float>::Values> values;
  for (const Network& network : self.networks)
    values.push_back(network.implementation_->read_parameters(file));
  for (std::size_t k = 0; k < values.size(); ++k)
    self.networks[k].implementation_->parameters->adopt(std::move(values[k]));
}

void Stack::load_state(const io::TensorFile& file) {
  const UseGuard::Exclusive guard(implementation_->guard, stack_in_use);
  Implementation& self = *implementation_;
  const auto calls = self.calls(ParameterAccess::read);
  std::vector<Implementation::NextState> next;
  std::optional<std::int64_t> B;  // of the first layer that has a state
  for (std::size_t k = 0; k < self.networks.size(); ++k) {
    next.push_back(self.networks[k].implementation_->read_state(file));
    if (next[k].values.empty()) continue;
    if (!B) B = next[k].batch;
    if (next[k].batch == *B) continue;
    throw_error(ErrorCode::format, place_in(file, str_cat("state of layer ", k)), str_cat("batch ", *B),
                str_cat("batch ", next[k].batch));
  }
  for (std::size_t k = 0; B && k < self.networks.size(); ++k) {
    if (next[k].values.empty()) next[k] = self.networks[k].implementation_->zero_state(*B);
  }
  self.adopt(std::move(next));
}

}  // namespace plasticity
