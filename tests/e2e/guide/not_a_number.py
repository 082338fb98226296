"""Numbers that JSON has no words for: in a span, in an expectation, in a dataset's record."""

import json
import math

import mlflow
import mlflow.genai.datasets

mlflow.set_experiment("not a number")


@mlflow.trace
def judge(score: float) -> dict:
    return {"score": score, "bounds": [-math.inf, math.inf], "word": "NaN"}


judge(math.nan)
mlflow.flush_trace_async_logging()
trace_id = mlflow.get_last_active_trace_id()
mlflow.log_expectation(trace_id=trace_id, name="gold", value={"score": math.nan})
trace = mlflow.get_trace(trace_id)
span, gold = trace.data.spans[0], trace.info.assessments[0].value
dataset = mlflow.genai.datasets.create_dataset(name=f"of {trace_id}", experiment_id=trace.info.experiment_id)
dataset.merge_records([{"inputs": {"q": "b"}, "expectations": {"gold": math.nan}}])
record = dataset.to_df().iloc[0]
print(
    json.dumps(
        {
            "inputs": math.isnan(span.inputs["score"]),
            "outputs": math.isnan(span.outputs["score"]) and span.outputs["bounds"] == [-math.inf, math.inf] and span.outputs["word"] == "NaN",
            "expected": math.isnan(gold["score"]),
            "record": math.isnan(record["expectations"]["gold"]),
        }
    )
)
