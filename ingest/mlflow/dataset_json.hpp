#pragma once
// Datasets and their records as MLflow's API writes them, and what it computes of them. Pure.
#include <boost/json/value.hpp>
#include <string>

#include "storage/records/catalog_record.hpp"

namespace assay {

std::string dataset_json(const Dataset& dataset, bool with_experiments);
boost::json::object record_json(const DatasetRecord& record);

// The first 8 hex digits of SHA-256 of "name:time".
std::string dataset_digest(std::string_view name, std::int64_t time);
// What two records with the same inputs have in common, whatever the order of their keys.
std::string hash_of_inputs(const boost::json::value& inputs);
// `schema` with the fields of more records, which are objects: the type of each field that was not there yet.
std::string extended_schema(const std::string& schema, const boost::json::array& records);

}  // namespace assay
