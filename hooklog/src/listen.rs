//! The accept loop of the query API and of the admin socket.
//!
//! axum's own waits at a stop for whoever has sent half a request, without a deadline. Here a connection with nothing under
//! way ends at once, one whose answer is under way gets it, and whoever keeps us waiting is cut.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// From a connection, or from its last answer, to the end of the next request's headers.
const HEADERS: Duration = Duration::from_secs(30);
/// How long an answer may still take at a stop; what is asked here is answered from memory and from a store.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves `router` on `listener` until `stop`, then until every connection is done, which takes [`DRAIN`] at most.
pub(crate) async fn serve<L: Listener>(mut listener: L, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        connections.spawn(lifetime(stream, router.clone(), stop.clone()));
    }
    drop((listener, router));
    connections.close();
    connections.wait().await;
}

async fn lifetime(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    router: Router,
    stop: CancellationToken,
) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let connection = protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.cancelled() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        // Whoever is cut here had not asked yet, or did not read what was answered.
        let _ = tokio::time::timeout(DRAIN, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::sync::Arc;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    /// A server whose one question is answered when `answer` is told to.
    struct Server {
        address: std::net::SocketAddr,
        asked: Arc<Notify>,
        answer: Arc<Notify>,
        stop: CancellationToken,
        served: JoinHandle<()>,
    }

    impl Server {
        async fn start() -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
            let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (is_asked, may_answer) = (asked.clone(), answer.clone());
            let slow = move || {
                let (is_asked, may_answer) = (is_asked.clone(), may_answer.clone());
                async move {
                    is_asked.notify_one();
                    may_answer.notified().await;
                    "done"
                }
            };
            let served = tokio::spawn(serve(listener, Router::new().route("/", get(slow)), stop.clone()));
            Server { address, asked, answer, stop, served }
        }

        async fn send(&self, request: &str) -> TcpStream {
            let mut client = TcpStream::connect(self.address).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            client
        }

        async fn ended(self) -> Duration {
            let began = Instant::now();
            self.stop.cancel();
            tokio::time::timeout(DRAIN * 5, self.served).await.expect("it stops at all").unwrap();
            began.elapsed()
        }
    }

    const WHOLE: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn whoever_has_sent_nothing_or_half_a_request_does_not_hold_up_a_stop() {
        let server = Server::start().await;
        let _nothing = server.send("").await;
        let _half = server.send("GET / HTTP/1.1\r\nhost").await;
        // Accepted in this order, so the two before it are being served.
        let _whole = server.send(WHOLE).await;
        server.asked.notified().await;
        assert!(server.ended().await < DRAIN + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn an_answer_that_is_under_way_is_given_all_the_same() {
        let server = Server::start().await;
        let mut client = server.send(WHOLE).await;
        server.asked.notified().await;
        server.stop.cancel();
        server.answer.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        server.ended().await;
    }
}
