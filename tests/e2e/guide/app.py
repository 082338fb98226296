"""A chat application as people write it for MLflow: it traces its answers, hands out an id, and takes feedback by that id. Two ways: by
trace_id, and by a client_request_id of its own. Nothing in it knows assay; MLFLOW_TRACKING_URI says where it goes."""

import asyncio
import json
import uuid
from datetime import datetime

import mlflow
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource
from pydantic import BaseModel

EXPERIMENT = "/Shared/production-app"
mlflow.set_experiment(EXPERIMENT)
app = FastAPI()


class Question(BaseModel):
    message: str


class Thumb(BaseModel):
    is_correct: bool
    comment: str | None = None


def answer(message: str) -> str:
    return "You said: " + message


def human(user: str | None) -> AssessmentSource:
    return AssessmentSource(source_type="HUMAN", source_id=user)


@app.post("/by-trace/chat")
@mlflow.trace(name="chat")
def chat_by_trace(question: Question):
    said = answer(question.message)
    return {"response": said, "trace_id": mlflow.get_current_active_span().trace_id}


@app.post("/by-trace/feedback")
def feedback_by_trace(trace_id: str, thumb: Thumb, user_id: str | None = None):
    mlflow.log_feedback(trace_id=trace_id, name="user_feedback", value=thumb.is_correct, source=human(user_id), rationale=thumb.comment)
    return {"status": "success", "trace_id": trace_id}


@app.post("/detailed-feedback")
def detailed(trace_id: str, user_id: str, accuracy: int = Query(ge=1, le=5), helpfulness: int = Query(ge=1, le=5), relevance: int = Query(ge=1, le=5), comment: str | None = None):
    scores = {"accuracy": accuracy, "helpfulness": helpfulness, "relevance": relevance}
    for name, score in scores.items():
        rationale = comment if name == "accuracy" else None
        mlflow.log_feedback(trace_id=trace_id, name=f"user_{name}", value=score / 5, source=human(user_id), rationale=rationale)
    return {"status": "success", "trace_id": trace_id, "feedback_recorded": scores}


@app.post("/by-request/chat")
@mlflow.trace(name="chat")
def chat_by_request(question: Question, request: Request):
    request_id = f"req-{uuid.uuid4().hex}"
    mlflow.update_current_trace(client_request_id=request_id, session_id=request.headers.get("X-Session-ID"), user=request.headers.get("X-User-ID"))
    return {"response": answer(question.message), "client_request_id": request_id}


@app.post("/by-request/feedback")
def feedback_by_request(request: Request, client_request_id: str, thumb: Thumb):
    client = MlflowClient()
    where = client.get_experiment_by_name(EXPERIMENT)
    found = client.search_traces(locations=[where.experiment_id], filter_string=f"attributes.client_request_id = '{client_request_id}'", max_results=1)
    if not found:
        raise HTTPException(404, "request not found")
    trace_id = found[0].info.trace_id
    mlflow.log_feedback(trace_id=trace_id, name="user_feedback", value=thumb.is_correct, source=human(request.headers.get("X-User-ID")), rationale=thumb.comment)
    return {"status": "success", "trace_id": trace_id}


@app.post("/chat/stream")
async def stream(question: Question):
    async def events():
        with mlflow.start_span(name="streaming_chat") as span:
            mlflow.update_current_trace(metadata={"request_message": question.message, "stream_start_time": datetime.now().isoformat()})
            words = answer(question.message).split()
            for word in words:
                yield f"data: {json.dumps({'type': 'token', 'content': word + ' '})}\n\n"
                await asyncio.sleep(0)
            span.set_attribute("token_count", len(words))
            yield f"data: {json.dumps({'type': 'done', 'trace_id': span.trace_id})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
