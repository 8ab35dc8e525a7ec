#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/network.hpp"
#include "plasticity/owner.hpp"

namespace plasticity {

/// One layer of a Stack.
struct StackLayer {
  /// Cell of the layer. spec.inputs may be 0: it is then the width of the layer's input. An rnn and an lstm
  /// read the input as x, a feedforward cell reads it as pre. The rate must not be external.
  Spec spec{};
  /// The sources of the input, in order: indices of earlier layers, or Stack::input for the input of the
  /// stack. The input is the concatenation of their outputs. More than one source makes skip connections.
  /// Empty: the layer before this one, and the input of the stack for the first layer.
  std::vector<int> from{};
};

/// The input and masks of T steps of a Stack, as views of the caller's host memory. The data must stay
/// unchanged during a call only.
struct StackSequence {
  std::int64_t steps = 1;                  ///< T >= 0
  std::int64_t batch = 0;                  ///< B; 0 or Stack::batch()
  std::span<const float> x{};              ///< [T,B,I] required if I > 0
  std::span<const std::uint8_t> reset{};   ///< [T,B] 1: reset the state of b in all layers before step t
  std::span<const std::int64_t> length{};  ///< [B] number of steps of each batch element
};

/// Networks in sequence, with one state and one file. Layer k reads the outputs of earlier layers at the same
/// step. The output of the stack is that of the last layer.
///
/// The calls are those of Network, with the same rules for windows, states and threads. All layers have the
/// options of the stack. Layer k has the name "layerK", or "NAME.layerK" if the options have a name, so its
/// parameters are "layer0.w" and so on.
///
/// Errors: those of Network. If a layer runs out of memory, the call throws Error(out_of_memory) after it has
/// discarded the windows and set the state to zero; in backward(), gradients of later layers may have been
/// added.
class PLASTICITY_API Stack {
 public:
  static constexpr int input = -1;  ///< in StackLayer::from: the input of the stack

  /// `inputs` is I, the width of the stack's input, at least 1. Throws the errors of Network, and
  /// Error(invalid_argument) without layers, for a source that is not an earlier layer, and if spec.inputs is
  /// not 0 and not the width of the sources.
  Stack(std::int64_t inputs, std::vector<StackLayer> layers, const NetworkOptions& options = {});
  ~Stack();
  Stack(Stack&& other) noexcept;             ///< calls of `other` then throw Error(invalid_argument)
  Stack& operator=(Stack&& other) noexcept;  ///< calls of `other` then throw Error(invalid_argument)

  /// Returns a stack with copies of the parameters and of the state, without windows. See Network::clone().
  Stack clone() const;
  /// Returns a stack with the same parameters and gradients, and a zero state of its own with `batch`
  /// elements; 0: that of the options. See Network::share().
  Stack share(std::int64_t batch = 0) const;

  std::int64_t inputs() const;                    ///< I
  std::int64_t outputs() const;                   ///< N of the last layer
  std::int64_t batch() const;                     ///< B of the state
  const std::vector<StackLayer>& layers() const;  ///< with spec.inputs and from filled in
  /// Returns layer k, for example to set its parameters. Calls that run steps, or change the state or the
  /// windows, must go through the stack. Throws Error(invalid_argument) for an unknown index.
  Network& layer(std::size_t index);

  /// Runs T steps and records them as a window. Returns y [T,B,N] of the last layer, valid until the window
  /// is removed.
  std::span<const float> forward(const StackSequence& sequence);
  /// Runs T steps without recording them. Returns y [T,B,N] of the last layer, valid until the call after the
  /// next infer().
  std::span<const float> infer(const StackSequence& sequence);
  /// Returns the pre-activation a [T,B,N] of the last layer in the last forward() or infer(), see
  /// Network::preactivation(). Empty without NetworkOptions::preactivation.
  std::span<const float> preactivation() const;
  /// Computes the gradients of the last window and removes it. `dy` [T,B,N] is the upstream gradient of the
  /// output, and `da` [T,B,N] that of the pre-activation of the last layer; empty means zero. Adds to the
  /// parameters' gradients. Writes the gradient of the input to `dx` [T,B,I] unless it is empty. Throws
  /// Error(invalid_argument) if there is no window.
  void backward(std::span<const float> dy, std::span<float> dx = {}, std::span<const float> da = {});

  std::int64_t windows() const;             ///< number of windows for which backward() has not run
  void reset(std::int64_t batch = 0);       ///< sets all states to zero and discards the windows, see Network
  void detach();                            ///< discards the windows and keeps the states
  void zero_gradients();                    ///< sets the gradients of all layers to zero
  std::vector<ParameterView> parameters();  ///< trainable parameters of all layers, see Network

  /// Stores the parameters, Specs and sources of all layers. Throws Error(invalid_argument) and changes
  /// nothing if the file has one of the keys.
  void save(io::TensorFile& file) const;
  /// Loads the parameters. Throws Error(format) and changes nothing if the layers in the file differ, or if a
  /// parameter is missing or has another shape. Throws Error(invalid_argument) if there are windows.
  void load(const io::TensorFile& file);
  void save_state(io::TensorFile& file) const;  ///< stores the states of all layers, see Network
  /// Loads the states of all layers. Throws Error(format) and changes nothing if one does not fit, and
  /// Error(invalid_argument) if there are windows.
  void load_state(const io::TensorFile& file);

 private:
  struct Implementation;
  explicit Stack(std::unique_ptr<Implementation> implementation);
  Owner<Implementation> implementation_;
};

/// The constructor arguments of a Stack in a file.
struct StackDescription {
  std::int64_t inputs = 0;           ///< I
  std::vector<StackLayer> layers{};  ///< as of Stack::layers()
};

/// Returns the description of the stack `name` that Stack::save() stored. Throws Error(format) if it is
/// missing or not valid.
PLASTICITY_API StackDescription load_stack(const io::TensorFile& file, const std::string& name = "");

}  // namespace plasticity
