#pragma once

#include <memory>

#include "plasticity/communicator.hpp"

// The core library does not depend on MPI. The library plasticity::mpi registers itself here when the program
// starts.
namespace plasticity {

struct MpiApi {
  std::unique_ptr<Communicator> (*make)(const CommunicatorOptions& options);
};

/// Null if the program does not link plasticity::mpi.
const MpiApi* mpi_api();

/// `api` must stay valid until the program ends. Exported although it is internal, because plasticity::mpi is
/// a library of its own.
PLASTICITY_API void register_mpi_api(const MpiApi& api);

}  // namespace plasticity
