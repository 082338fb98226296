#pragma once
// librdkafka's mock cluster: brokers in this process whose answers a test chooses.
#include <librdkafka/rdkafka_mock.h>

#include <stdexcept>
#include <vector>

#include "storage/log/kafka_handles.hpp"

namespace assay {

inline constexpr std::int16_t produce_request = 0, producer_id_request = 22;  // Kafka's ApiKey

class MockCluster {
 public:
  explicit MockCluster(int brokers = 1) {
    char problem[256];
    auto* conf = rd_kafka_conf_new();                                    // the client's when it is made
    rd_kafka_conf_set(conf, "log_level", "0", problem, sizeof problem);  // it warns that it has no broker
    host_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof problem));
    if (!host_) throw std::runtime_error(problem);
    cluster_.reset(rd_kafka_mock_cluster_new(host_.get(), brokers));
    if (!cluster_) throw std::runtime_error("no mock cluster");
  }
  std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_.get()); }
  void make_topic(const std::string& name, int partitions) {
    rd_kafka_mock_topic_create(cluster_.get(), name.c_str(), partitions, 1);
  }
  // The answers of the next produce requests.
  void answer_produce(std::initializer_list<rd_kafka_resp_err_t> codes) {
    rd_kafka_mock_push_request_errors_array(cluster_.get(), produce_request, codes.size(), codes.begin());
  }
  // No producer is given its id until `give_producer_ids`. (A delayed answer would hold up what else the connection
  // asks for.)
  void refuse_producer_ids() {
    const std::vector<rd_kafka_resp_err_t> codes(1000, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    rd_kafka_mock_push_request_errors_array(cluster_.get(), producer_id_request, codes.size(), codes.data());
  }
  void give_producer_ids() { rd_kafka_mock_clear_request_errors(cluster_.get(), producer_id_request); }
  void set_down(int broker = 1) { rd_kafka_mock_broker_set_down(cluster_.get(), broker); }
  void set_up(int broker = 1) { rd_kafka_mock_broker_set_up(cluster_.get(), broker); }

 private:
  KafkaHandle host_;
  std::unique_ptr<rd_kafka_mock_cluster_t, Destroyer<&rd_kafka_mock_cluster_destroy>> cluster_;
};

}  // namespace assay
