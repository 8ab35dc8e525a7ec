#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "c/arguments.hpp"
#include "network/use_guard.hpp"
#include "plasticity/communicator.hpp"
#include "plasticity/network.hpp"
#include "plasticity/optimizer.hpp"
#include "plasticity/stack.hpp"
#include "plasticity/trainer.hpp"

namespace plasticity::c {

/// The names and shapes of a handle's tensors. Views that the caller got point to them.
using Shapes = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

}  // namespace plasticity::c

/// A network, with the shapes and step counts that its C interface needs.
struct plasticity_network {
  std::variant<plasticity::Network, plasticity::NetworkF64> network;
  plasticity::c::Shapes shapes{};        // of parameters by name, of the state as "state.NAME"
  std::vector<std::int64_t> recorded{};  // steps of each recorded window, in order
  plasticity::UseGuard guard{};          // of shapes and recorded
  std::shared_ptr<const int> life = std::make_shared<const int>(0);  // trainers observe it

  /// Calls `call` with the Network or NetworkF64.
  template <class Call>
  auto visit(Call call) {
    return std::visit(call, network);
  }
  template <class Call>
  auto visit(Call call) const {
    return std::visit(call, network);
  }
};

/// A stack, with the shapes and step counts that its C interface needs.
struct plasticity_stack {
  plasticity::Stack stack;
  plasticity::c::Shapes shapes{};        // of parameters by name
  std::vector<std::int64_t> recorded{};  // steps of each recorded window, in order
  plasticity::UseGuard guard{};          // of shapes and recorded
};

/// Also the type plasticity_adam.
struct plasticity_optimizer {
  plasticity::Optimizer optimizer;
};

struct plasticity_communicator {
  std::unique_ptr<plasticity::Communicator> communicator;
};

struct plasticity_trainer {
  plasticity::Network* network;  // null with several modules
  plasticity::Trainer trainer;
  std::weak_ptr<const int> life{};  // of the network
};

namespace plasticity::c {

/// Held by a call that changes the shapes or the recorded windows of a network or a stack. Throws
/// Error(invalid_argument) if a call of another thread holds it.
class HandleCall {
 public:
  explicit HandleCall(plasticity_network& network)
      : call_(network.guard,
              "network: another thread is running a call on it. One thread at a time may use a network") {}
  explicit HandleCall(plasticity_stack& stack) : call_(stack.guard, stack_in_use) {}

 private:
  UseGuard::Exclusive call_;
};

NetworkOptions to_options(const plasticity_network_options& from);
AdamOptions to_options(const plasticity_adam_options& from);
OptimizerOptions to_options(const plasticity_optimizer_options& from);

/// Returns a view of `elements` numbers, or an empty one for null.
template <class T>
std::span<T> span_of(T* data, std::int64_t elements) {
  return data == nullptr ? std::span<T>{} : std::span<T>(data, static_cast<std::size_t>(elements));
}

/// Copies results to an output tensor of the caller, unless it is null.
template <class Real>
void copy_to(Real* output, std::span<const Real> values) {
  if (output != nullptr) std::copy(values.begin(), values.end(), output);
}

/// Takes the inputs and masks of T steps. The result views the caller's tensors.
template <class Real>
BasicSequence<Real> take_sequence(Arguments& arguments, const BasicNetwork<Real>& network,
                                  std::int64_t steps);

/// The output arguments y and modulation of T steps. Absent ones are null.
template <class Real>
struct RequestedOutputs {
  RequestedOutputs(Arguments& arguments, const BasicNetwork<Real>& network, std::int64_t steps);
  Real *y, *modulation;
};

/// Takes the output argument a of T steps, or null. Throws if the network does not keep the pre-activation.
template <class Real>
Real* take_preactivation(Arguments& arguments, const BasicNetwork<Real>& network, std::int64_t steps);

/// Lists the parameters for the caller, see plasticity_network_parameters(). Stores names and shapes in
/// `shapes`.
template <class Real>
void list_parameters(const std::vector<BasicParameterView<Real>>& views, Shapes& shapes,
                     plasticity_parameter* parameters, std::size_t capacity, std::size_t* count);

/// Converts parameters for the optimizer. Throws Error(invalid_argument) unless they are dense float32
/// tensors in host memory.
std::vector<ParameterView> to_views(const plasticity_parameter* parameters, std::size_t count);

}  // namespace plasticity::c
