// Stands before the toolkit's header of this name when kernels are compiled for the executor.
#pragma once

#include "simt/device.hpp"
