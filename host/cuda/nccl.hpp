#pragma once

#include <memory>

#include "plasticity/communicator.hpp"

namespace plasticity::cuda {

/// nccl_id() and nccl_communicator() for checked arguments.
NcclId make_nccl_id();
std::unique_ptr<Communicator> make_nccl(int index, const NcclId& id, int rank, int size,
                                        const CommunicatorOptions& options);

}  // namespace plasticity::cuda
