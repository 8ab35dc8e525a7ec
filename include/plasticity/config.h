/* What C and C++ headers share: the version, and what a shared library shows. */
#ifndef PLASTICITY_CONFIG_H
#define PLASTICITY_CONFIG_H

/* The version of these headers (semantic versioning; before 1.0.0 a minor version may change the interface).
   plasticity::version() and plasticity_version() tell that of the library that is linked. */
#define PLASTICITY_VERSION_MAJOR 0
#define PLASTICITY_VERSION_MINOR 1
#define PLASTICITY_VERSION_PATCH 0

/* Marks what a shared library shows; everything else in it is hidden. */
#if defined(__GNUC__)
#define PLASTICITY_API __attribute__((visibility("default")))
#else
#define PLASTICITY_API
#endif

#endif
