#include <algorithm>
#include <cstring>

#include "base/hash.hpp"
#include "base/throw_error.hpp"
#include "communicator/gathered.hpp"
#include "plasticity/communicator.hpp"

namespace plasticity {
namespace {

/// Throws Error(communication) unless all ranks pass the same names and sizes. Compares a hash.
void check_same_parameters(Communicator& communicator, std::span<const ParameterView> parameters) {
  Hash hash;
  std::size_t elements = 0;
  for (const ParameterView& parameter : parameters) {
    if (parameter.gradient.size() != parameter.value.size()) {
      bad_argument(str_cat("parameter '", parameter.name, "'"),
                   str_cat("a gradient of ", parameter.value.size(), " elements"),
                   str_cat(parameter.gradient.size()));
    }
    hash.add(parameter.name);
    hash.add(str_cat('\0', parameter.value.size(), '\0'));
    elements += parameter.value.size();
  }
  struct Summary {
    std::uint64_t hash, count, elements;
  };
  const Summary own{hash.value(), parameters.size(), elements};
  const std::vector<Summary> all = gathered(std::span(&own, 1), communicator);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r].hash == all[0].hash && all[r].count == all[0].count) continue;
    throw_error(
        ErrorCode::communication, str_cat("parameters of rank ", r),
        str_cat("the names and sizes of rank 0 (", all[0].count, " tensors, ", all[0].elements, " elements)"),
        str_cat("others (", all[r].count, " tensors, ", all[r].elements, " elements)"));
  }
}

/// Copies the tensors to one buffer, calls work(buffer), and copies the buffer back.
template <class Work>
void through_one_buffer(std::span<const ParameterView> parameters, std::span<float> ParameterView::*view,
                        const Work& work) {
  std::vector<float> flat;
  for (const ParameterView& parameter : parameters)
    flat.insert(flat.end(), (parameter.*view).begin(), (parameter.*view).end());
  work(std::span(flat));
  auto from = flat.begin();
  for (const ParameterView& parameter : parameters) {
    const std::span<float> to = parameter.*view;
    std::copy_n(from, to.size(), to.begin());
    from += static_cast<std::ptrdiff_t>(to.size());
  }
}

}  // namespace

void all_reduce(Communicator& communicator, std::span<const ParameterView> parameters, Combine combine) {
  if (combine != Combine::sum && combine != Combine::mean)
    bad_argument("combine", "a value of its enumeration", str_cat(static_cast<int>(combine)));
  check_same_parameters(communicator, parameters);
  through_one_buffer(parameters, &ParameterView::gradient, [&](std::span<float> values) {
    communicator.sum(values);
    if (combine == Combine::sum) return;
    const auto ranks = static_cast<float>(communicator.size());
    for (float& value : values) value /= ranks;
  });
}

void broadcast(Communicator& communicator, std::span<const ParameterView> parameters) {
  check_same_parameters(communicator, parameters);
  through_one_buffer(parameters, &ParameterView::value,
                     [&](std::span<float> values) { communicator.broadcast(values); });
  for (const ParameterView& parameter : parameters) {
    if (parameter.version != nullptr) ++*parameter.version;
  }
}

}  // namespace plasticity
