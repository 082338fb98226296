#pragma once
// What librdkafka reports, as an error_code.
#include <librdkafka/rdkafka.h>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

// Values are rd_kafka_resp_err_t, messages rd_kafka_err2str's.
const boost::system::error_category& kafka_category();

// The code as librdkafka gave it: for log lines, and where no caller acts on it.
inline error_code kafka_code(rd_kafka_resp_err_t code) { return {static_cast<int>(code), kafka_category()}; }

// What a delivery's failure means for the one who appends: over_capacity, timed_out or log_unavailable. The fault of
// the record itself (it is too large) keeps Kafka's code, because trying again can't help.
error_code append_error(rd_kafka_resp_err_t code);

// What a read's failure means: log_unavailable where waiting may help, else Kafka's code.
error_code read_error(rd_kafka_resp_err_t code);

}  // namespace assay
