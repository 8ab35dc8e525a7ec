#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "network/use_guard.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/device_memory.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/network.hpp"
#include "plasticity/training.hpp"

namespace plasticity {

/// Returns the values of a tensor of a file, converted to Real.
template <class Real>
std::vector<Real> to_reals(const io::Tensor& tensor) {
  if constexpr (std::is_same_v<Real, double>) {
    return io::to_doubles(tensor);
  } else {
    return io::to_floats(tensor);
  }
}

/// The parameters of a network and their gradients, in device memory. On a GPU the caller works on host
/// copies. Once views() or value() has returned a copy, the caller may change it at any time, so every pass
/// uploads it first, until invalidate_host_copies().
template <class Real>
class NetworkParameters {
 public:
  /// Sets the initial values (see Network). `name` is that of the network. All work is enqueued on `stream`.
  NetworkParameters(const Spec& spec, const std::string& name, std::uint64_t seed, Device device,
                    Stream stream);

  /// Returns the values on the device, after uploading the host's changes.
  Parameters<const Real> values();
  /// Returns the gradients of the trainable parameters on the device, after uploading the host's changes.
  Parameters<Real> gradients();
  /// Downloads the gradients to the host copies that views() has returned. Call it after a pass has written
  /// gradients().
  void download_gradients();
  void zero_gradients();

  /// Returns host views of the trainable parameters, to read or to write.
  std::vector<BasicParameterView<Real>> views();
  std::span<Real> value(std::string_view name);
  void set_trainable(std::string_view name, bool trainable);

  /// Counts the changes of the values that the library makes: load(), optimizers, invalidate_host_copies().
  /// Optimizers increment it through ParameterView::version.
  std::uint64_t version() const { return version_; }
  /// Returns a checksum of the values. On a GPU it covers the host copies only.
  std::uint64_t checksum() const;

  /// Returns a copy of the values. Its gradients are zero.
  std::shared_ptr<NetworkParameters> copy_values() const;

  /// Returns a copy of the value `name` in host memory.
  std::vector<Real> host_value(std::string_view name) const;
  /// Adds to the gradient `name` on the device, if the parameter is trainable. Call gradients() first.
  /// Allocates nothing: `buffer` is working memory of the same size.
  void add_to_gradient(std::string_view name, std::span<const Real> gradient, std::span<Real> buffer);

  UseGuard guard{};  // of all networks that share the parameters

  /// A trainable parameter on the device, without moments.
  struct Trained {
    std::string_view name;  // the full name
    TrainedTensor tensor;
  };
  /// Returns the trainable parameters in the order of views(). Call values() first. The
  /// gradients are null before gradients().
  std::vector<Trained> trained() const requires std::is_same_v<Real, float>;
  /// The block that holds all gradients.
  void* gradient_data() const { return gradients_.data(); }
  /// The block that holds all values. Call values() first.
  void* value_data() const { return values_.data(); }
  std::size_t value_bytes() const { return values_.bytes(); }
  std::size_t gradient_bytes() const { return gradients_.bytes(); }
  /// Marks the host copies as stale, so that they are not uploaded. Call it after a step on the device has
  /// written values and gradients.
  void invalidate_host_copies();

  /// Returns the shape of the parameter with this full name, if there is one.
  std::optional<Shape> shape_of(std::string_view full_name) const;

  /// Store and read the values as "param." and the full name. read() throws Error(format) if a parameter is
  /// missing or has another shape. adopt() sets the values that read() returned, and allocates nothing.
  using Values = std::vector<std::vector<Real>>;  // by parameter
  void save(io::TensorFile& file) const;
  Values read(const io::TensorFile& file) const;
  void adopt(Values values);

 private:
  /// The host copy of a value or a gradient. Used on a GPU only.
  struct HostCopy {
    std::vector<Real> data{};
    bool handed_out = false;  // the caller has a view, and may change the copy at any time
    bool is_newer = false;    // the copy has changed and is not uploaded yet
  };
  struct Parameter {
    std::string_view name;  // within the network, for example "w"
    std::string full_name;  // "w", or "actor.w" in a network with the name "actor"
    Shape shape;
    const Real* Parameters<const Real>::*value_member;
    Real* Parameters<Real>::*gradient_member;
    std::size_t offset;  // of the value in values_ and of the gradient in gradients_, in numbers
    bool trainable = true;
    HostCopy value{}, gradient{};

    std::size_t size() const { return static_cast<std::size_t>(shape.elements()); }
  };
  NetworkParameters(const NetworkParameters& other);  // for copy_values()
  Parameter& find(std::string_view name);
  Real* value_at(const Parameter& parameter) const;
  Real* gradient_at(const Parameter& parameter) const;
  void make_gradients();
  bool on_cpu() const { return device_.kind() == DeviceKind::cpu; }
  void upload(HostCopy& host, Real* on_device);
  void download(std::vector<Real>& host, const Real* on_device, std::size_t size) const;
  std::span<Real> hand_out(HostCopy& host, Real* on_device, std::size_t size);

  Device device_;
  Stream stream_;
  std::string prefix_;  // "", or "actor." in a network with the name "actor"
  std::uint64_t version_ = 0;
  std::vector<Parameter> parameters_;
  DeviceMemory values_, gradients_{};
};

}  // namespace plasticity
