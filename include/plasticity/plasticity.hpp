#pragma once

#include "plasticity/require_cxx20.hpp"  // first

// Includes every public C++ header. Network owns its memory; Plan works on the caller's buffers and streams.
#include "plasticity/arguments.hpp"
#include "plasticity/column_plan.hpp"
#include "plasticity/communicator.hpp"
#include "plasticity/device.hpp"
#include "plasticity/device_memory.hpp"
#include "plasticity/error.hpp"
#include "plasticity/io/idx.hpp"
#include "plasticity/io/png.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/linear.hpp"
#include "plasticity/loss.hpp"
#include "plasticity/memory.hpp"
#include "plasticity/network.hpp"
#include "plasticity/optimizer.hpp"
#include "plasticity/owner.hpp"
#include "plasticity/parameter_view.hpp"
#include "plasticity/plan.hpp"
#include "plasticity/reference.hpp"
#include "plasticity/schedule.hpp"
#include "plasticity/spec.hpp"
#include "plasticity/stack.hpp"
#include "plasticity/trainer.hpp"
#include "plasticity/training.hpp"
#include "plasticity/version.hpp"
