//! The hive's routes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ArtifactCatalog as _, ArtifactProvisioner as _, FilesystemCatalog, Happening,
    ProvisionError, ProvisionEvent, ProvisionRequest, Subscription, WorkerBinary,
    WorkerProvisioner,
};

/// How many jobs are remembered; the oldest that has ended goes first.
const MAX_JOBS: usize = 1_000;

/// Routes that install, list and remove workers.
pub(super) fn router(
    provisioner: WorkerProvisioner,
    catalog: FilesystemCatalog<WorkerBinary>,
) -> Router {
    let hive = Arc::new(Hive {
        provisioner,
        catalog,
        jobs: Mutex::default(),
        next_job: AtomicU64::new(1),
    });
    Router::new()
        .route("/v1/jobs", post(create_job))
        .route("/v1/jobs/{id}", delete(cancel_job))
        .route("/v1/jobs/{id}/stream", get(stream_job))
        .route("/v1/workers", get(list_workers))
        .route("/v1/workers/{id}", delete(remove_worker))
        .with_state(hive)
}

struct Hive {
    provisioner: WorkerProvisioner,
    catalog: FilesystemCatalog<WorkerBinary>,
    jobs: Mutex<HashMap<String, Job>>,
    next_job: AtomicU64,
}

struct Job {
    number: u64,
    worker_id: String,
    cancel: CancellationToken,
    started: bool,
    /// The last line of the stream, once the job has ended.
    ending: watch::Sender<Option<String>>,
}

type Shared = State<Arc<Hive>>;
type Refusal = (StatusCode, Json<Value>);

#[derive(Deserialize)]
struct JobRequest {
    operation: String,
    worker_id: String,
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Refusal {
    (status, Json(json!({ "error": error.into() })))
}

impl Hive {
    fn jobs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn create_job(
    State(hive): Shared,
    Json(request): Json<JobRequest>,
) -> Result<Json<Value>, Refusal> {
    if request.operation != "worker_install" {
        let text = format!("unknown operation `{}`", request.operation);
        return Err(refuse(StatusCode::BAD_REQUEST, text));
    }
    if !hive.provisioner.supports(&request.worker_id) {
        let text = format!("`{}` is not a worker id", request.worker_id);
        return Err(refuse(StatusCode::BAD_REQUEST, text));
    }
    let number = hive.next_job.fetch_add(1, Ordering::Relaxed);
    let id = format!("job-{number}");
    let mut jobs = hive.jobs();
    if jobs.len() >= MAX_JOBS {
        let oldest = jobs
            .iter()
            .filter(|(_, job)| job.ending.borrow().is_some())
            .min_by_key(|(_, job)| job.number);
        match oldest.map(|(id, _)| id.clone()) {
            Some(id) => jobs.remove(&id),
            None => return Err(refuse(StatusCode::TOO_MANY_REQUESTS, "too many jobs")),
        };
    }
    let cancel = CancellationToken::new();
    let worker_id = request.worker_id;
    jobs.insert(
        id.clone(),
        Job {
            number,
            worker_id,
            cancel,
            started: false,
            ending: watch::Sender::new(None),
        },
    );
    Ok(Json(
        json!({ "job_id": id, "sse_url": format!("/v1/jobs/{id}/stream") }),
    ))
}

async fn cancel_job(State(hive): Shared, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let jobs = hive.jobs();
    let job = jobs
        .get(&id)
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "no such job"))?;
    job.cancel.cancel();
    Ok(Json(json!({ "job_id": id, "status": "cancelled" })))
}

/// The first to open the stream starts the job; later ones see the same events.
async fn stream_job(
    State(hive): Shared,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let cursor = {
        let mut jobs = hive.jobs();
        let job = jobs
            .get_mut(&id)
            .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "no such job"))?;
        let subscription = hive.provisioner.subscribe(&id);
        if !std::mem::replace(&mut job.started, true) {
            let request = ProvisionRequest::new(&job.worker_id).with_job_id(&id);
            tokio::spawn(install(
                Arc::clone(&hive),
                id.clone(),
                request,
                job.cancel.clone(),
            ));
        }
        (subscription, job.ending.subscribe())
    };
    Ok(Sse::new(stream::unfold(Some(cursor), next_line)))
}

async fn install(
    hive: Arc<Hive>,
    id: String,
    request: ProvisionRequest,
    cancel: CancellationToken,
) {
    let outcome = hive
        .provisioner
        .provision_and_add(&request, &hive.catalog, cancel)
        .await;
    let ending = match outcome {
        Ok(_) => "[DONE]".to_owned(),
        Err(ProvisionError::Cancelled) => "[CANCELLED]".to_owned(),
        Err(error) => format!("[ERROR] {}", error.chain().replace(['\r', '\n'], " ")),
    };
    if let Some(job) = hive.jobs().get(&id) {
        job.ending.send_replace(Some(ending));
    }
}

type Cursor = (Subscription, watch::Receiver<Option<String>>);

/// The next line of a job, and after the last one how it ended.
async fn next_line(cursor: Option<Cursor>) -> Option<(Result<Event, Infallible>, Option<Cursor>)> {
    let (mut subscription, mut ending) = cursor?;
    while let Some(event) = subscription.next().await {
        if let Some(text) = describe(&event) {
            return Some((
                Ok(Event::default().data(text)),
                Some((subscription, ending)),
            ));
        }
    }
    let last = ending.wait_for(Option::is_some).await.ok()?.clone()?;
    Some((Ok(Event::default().data(last)), None))
}

fn describe(event: &ProvisionEvent) -> Option<String> {
    let text = match &event.happening {
        Happening::Started => "...".to_owned(),
        Happening::Note { text } => text.clone(),
        Happening::Output { line, .. } => format!("| {line}"),
        Happening::Warning { text } => format!("warning: {text}"),
        Happening::Progress {
            subject,
            done,
            total: Some(total),
            ..
        } => {
            format!("{subject}: {done} of {total}")
        }
        Happening::Finished { elapsed_ms } => format!("done in {elapsed_ms} ms"),
        _ => return None,
    };
    Some(format!(
        "{}: {}",
        event.phase.title(),
        text.replace(['\r', '\n'], " ")
    ))
}

async fn list_workers(State(hive): Shared) -> Json<Value> {
    let catalog = hive.catalog.clone();
    let workers = tokio::task::spawn_blocking(move || catalog.list())
        .await
        .unwrap_or_default();
    Json(json!({ "workers": workers }))
}

async fn remove_worker(
    State(hive): Shared,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (catalog, store, wanted) = (
        hive.catalog.clone(),
        hive.provisioner.store().clone(),
        id.clone(),
    );
    let found = tokio::task::spawn_blocking(move || {
        let binary = catalog.get(&wanted)?;
        let mut receipts = store.list()?;
        receipts.retain(|receipt| {
            let artifact = receipt.artifact.as_ref();
            artifact.is_some_and(|artifact| artifact.id() == binary.id())
        });
        Ok::<_, ProvisionError>(receipts)
    });
    let missing = |error: ProvisionError| refuse(StatusCode::NOT_FOUND, error.chain());
    let lost = |error: JoinError| refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let cancel = CancellationToken::new();
    for receipt in found.await.map_err(lost)?.map_err(missing)? {
        let removed = hive
            .provisioner
            .remove(&receipt.worker_id, receipt.backend, &cancel);
        removed.await.map_err(missing)?;
    }
    let (catalog, wanted) = (hive.catalog.clone(), id.clone());
    let forgotten = tokio::task::spawn_blocking(move || catalog.remove(&wanted));
    forgotten.await.map_err(lost)?.map_err(missing)?;
    Ok(Json(json!({ "removed": id })))
}
