#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

// The constants of the cost model (cost_model.hpp), and the file of `plasticity tune` that replaces them.
namespace plasticity::cuda {

/// Times in µs, rates per µs. The built-in values are for an H100 and were calculated: nothing was measured
/// on a GPU. Rates of L2 and of issue are per multiprocessor, so that they scale with the device.
struct DeviceConstants {
  double launch = 2.5;         ///< calculated: the host puts one kernel on a stream
  double graph_launch = 5;     ///< calculated: the host launches a graph
  double kernel_gap = 1.5;     ///< calculated: from one kernel to the next, in a graph or a full stream
  double issue_rate = 7200;    ///< calculated: warp instructions of a multiprocessor (4 per clock, 1.8 GHz)
  double warp_gap = 0.0011;    ///< calculated: between two instructions of one warp (2 clocks)
  double l2_rate = 41700;      ///< calculated: bytes from L2 of a multiprocessor (5.5 TB/s of 132)
  double memory_rate = 3.0e6;  ///< calculated: bytes from memory of the device
  double l2_latency = 0.22;    ///< calculated: of a load from L2 in a pass
  double step_outside = 1.8;   ///< calculated: a step kernel before and after its pass
  double resident_forward_outside = 0.4;   ///< calculated: a resident step outside its pass, without barrier
  double resident_backward_outside = 0.7;  ///< calculated: as above
  double segment_begin = 1.5;              ///< calculated: a resident kernel begins to replay a segment
  double cluster_barrier = 0.4;            ///< calculated: a barrier of a cluster, with the exchange
  double peer_store = 0.015;               ///< calculated: a value to one more block of a cluster
  double grid_barrier = 1.6;  ///< calculated: a barrier of a cooperative launch, with the exchange

  bool operator==(const DeviceConstants&) const = default;

  struct Member {
    std::string_view name;
    double DeviceConstants::*pointer;
  };
  static const std::array<Member, 15>& members();
};

/// The text of a tuning file: JSON with the constants and the name of the device they were measured on.
std::string tuning_text(const DeviceConstants& constants, const std::string& device);

/// Reads a tuning file. A constant that it leaves out keeps its built-in value. Throws Error(io) if the file
/// cannot be read, and Error(format) that names the file, the key and the expected value.
DeviceConstants read_tuning(const std::filesystem::path& path);

/// The constants of the file that PLASTICITY_TUNING names, or the built-in ones. Reads the variable at each
/// call, and throws as read_tuning().
DeviceConstants current_constants();

}  // namespace plasticity::cuda
