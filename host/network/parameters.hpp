#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/network.hpp"
#include "plasticity/training.hpp"

namespace plasticity {

/// The parameters of a network and their gradients, on its device. On a GPU the host has a copy of what was
/// asked for: handed out, it may be written at any time and is what counts, and is sent before every pass,
/// until the device itself writes the parameters (values_written()).
class NetworkParameters {
 public:
  /// With their initial values (see Network). All work goes onto the stream.
  NetworkParameters(const Spec& spec, std::uint64_t seed, Device device, Stream stream);

  /// The values on the device, with what the host may have set.
  Parameters<const float> values();
  /// The gradients of those that are trained, on the device, with what the host may have set.
  Parameters<float> gradients();
  /// To be called when a pass has written gradients(): the host's copies follow.
  void gradients_written();
  void zero_gradients();

  /// Those that are trained, on the host, to read or to write.
  std::vector<ParameterView> views();
  std::span<float> value(std::string_view name);
  void set_trainable(std::string_view name, bool trainable);

  /// What a step on the device works on, in the order of views(): the names, the values and gradients. Valid
  /// after values() and gradients().
  struct Trained {
    std::string_view name;
    TrainedTensor tensor;  // without moments
  };
  std::vector<Trained> trained() const;
  /// All gradients in one piece.
  void* gradient_data() const { return gradients_.data(); }
  std::size_t gradient_bytes() const { return gradients_.bytes(); }
  /// To be called when a step has written values and gradients on the device: the host's copies are out of
  /// date, and no longer looked at.
  void step_written();

  /// The values, as "param.NAME" in a file. Loading throws Error(format) and changes nothing when one is
  /// missing or has another shape.
  void save(io::TensorFile& file) const;
  void load(const io::TensorFile& file);

 private:
  /// A GPU's only: the host's copy of a value or a gradient.
  struct Copy {
    std::vector<float> host{};
    bool handed_out = false;  // it may be written at any time
    bool is_newer = false;    // it was written, and is not on the device yet
  };
  struct Parameter {
    std::string_view name;
    Shape shape;
    const float* Parameters<const float>::*value_member;
    float* Parameters<float>::*gradient_member;
    std::size_t offset;  // of its value and of its gradient, in floats
    bool trainable = true;
    Copy value{}, gradient{};

    std::size_t size() const { return static_cast<std::size_t>(shape.elements()); }
  };
  float* value_at(const Parameter& parameter) const;
  float* gradient_at(const Parameter& parameter) const;
  void make_gradients();
  bool on_cpu() const { return device_.kind() == DeviceKind::cpu; }
  void send(Copy& copy_of, float* there);
  void fetch(std::vector<float>& host, const float* there, std::size_t size) const;
  std::span<float> hand_out(Copy& copy_of, float* there, std::size_t size);

  Device device_;
  Stream stream_;
  std::vector<Parameter> parameters_;
  DeviceMemory values_, gradients_{};
};

}  // namespace plasticity
