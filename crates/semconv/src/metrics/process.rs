//! Of the process, its runtime and its telemetry.

use opentelemetry::metrics::{Histogram, ObservableCounter, ObservableGauge, ObservableUpDownCounter};

use super::{NONE, SHORT, metrics};
use crate::{Definition, Instrument as _, Metric, Observable as _, Stability, attributes};

metrics! { PROCESS;
    in "crates/chassis/src/process" {
        PROCESS_CPU_TIME: ObservableCounter<f64> = "process.cpu.time", Development, "s", NONE, "Processor time of the process.", [CPU_MODE];
        PROCESS_MEMORY_USAGE: ObservableUpDownCounter<i64> = "process.memory.usage", Development, "By", NONE, "Resident memory.", [];
        PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: ObservableUpDownCounter<i64> = "process.unix.file_descriptor.count", Development, "{file_descriptor}", NONE, "Open file descriptors.", [];
        PROCESS_UPTIME: ObservableGauge<f64> = "process.uptime", Development, "s", NONE, "How long the process has run.", [];
        PROCESS_START_TIME: ObservableGauge<f64> = "process.start_time", Own, "s", NONE, "When the process was started, since 1970.", [];
        TOKIO_WORKERS: ObservableGauge<u64> = "tokio.workers", Own, "{thread}", NONE, "Workers of the runtime.", [];
        TOKIO_WORKERS_BUSY: ObservableCounter<f64> = "tokio.workers.busy", Own, "s", NONE, "How long the workers were busy, added up.", [];
        TOKIO_TASKS_ALIVE: ObservableGauge<u64> = "tokio.tasks.alive", Own, "{task}", NONE, "Tasks that have not ended.", [];
        TOKIO_QUEUE_DEPTH: ObservableGauge<u64> = "tokio.queue.depth", Own, "{task}", NONE, "Tasks that wait in the runtime's global queue.", [];
        TOKIO_SCHEDULE_DELAY: Histogram<f64> = "tokio.schedule.delay", Own, "s", SHORT, "How late a timer is: what tasks wait for a worker.", [];
        BUILD_INFO: ObservableGauge<u64> = "build.info", Own, "", NONE, "1; its attributes say what was built.", [SERVICE_VERSION, VCS_REVISION, RUSTC_VERSION];
    }
    in "crates/telemetry" {
        OTEL_SDK_EXPORTER_SPAN_EXPORTED: ObservableCounter<u64> = "otel.sdk.exporter.span.exported", Development, "{span}", NONE,
            "Spans that left the process; with an error.type those that could not.", [ERROR_TYPE];
        OTEL_SDK_EXPORTER_LOG_EXPORTED: ObservableCounter<u64> = "otel.sdk.exporter.log.exported", Development, "{log_record}", NONE,
            "Log records that left the process; with an error.type those that could not.", [ERROR_TYPE];
        OTEL_SDK_PROCESSOR_SPAN_PROCESSED: ObservableCounter<u64> = "otel.sdk.processor.span.processed", Development, "{span}", NONE,
            "Spans that were dropped, because too many waited to be sent.", [ERROR_TYPE];
        OTEL_SDK_PROCESSOR_LOG_PROCESSED: ObservableCounter<u64> = "otel.sdk.processor.log.processed", Development, "{log_record}", NONE,
            "Log records that were dropped, because too many waited to be sent.", [ERROR_TYPE];
        LOG_LINES_DROPPED: ObservableCounter<u64> = "log.lines.dropped", Own, "{line}", NONE,
            "Lines that were not written: nobody read standard output, it refused them, or a statement repeated itself.", [ERROR_TYPE];
    }
}
