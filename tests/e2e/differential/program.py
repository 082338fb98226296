"""Seeded random programs of calls of MLflow's client, and what they saw, in a form in which two servers can be compared.

A program is a function of its seed and of what it has made so far, never of a server's answers beyond that: the same seed makes the same
calls everywhere. Ids and times that a server or a clock chose are named by the order in which they were made.
"""

from typing import Any

from assessment_calls import AssessmentCalls
from dataset_calls import DatasetCalls
from experiment_calls import ExperimentCalls
from search_calls import SearchCalls
from trace_calls import TraceCalls


class Program(ExperimentCalls, TraceCalls, AssessmentCalls, SearchCalls, DatasetCalls):
    def run(self) -> list[Any]:
        weighted = [
            (4, self.make_experiment),
            (5, self.change_experiment),
            (4, self.look_at_experiments),
            (13, self.make_trace),
            (16, self.log_feedback),
            (5, self.log_expectation),
            (9, self.change_assessment),
            (5, self.get_assessment),
            (6, self.change_tags),
            (2, self.delete_traces),
            (8, self.get_trace),
            (22, self.search_traces),
            (6, self.search_nonsense),
            (6, self.use_dataset),
        ]
        self.make_experiment()
        for _ in range(3):
            self.make_trace()
        for self.count in range(self.operations):
            self.random.choices([do for _, do in weighted], [w for w, _ in weighted])[0]()
        return self.seen
