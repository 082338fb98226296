#pragma once
// How many files and sockets this process may have open at once.
#include <cstddef>

namespace assay {

// Raises it as far as the system lets us. Nothing here calls select(), which is what the usual low limit is there for.
void raise_descriptor_limit();
std::size_t descriptor_limit();

}  // namespace assay
