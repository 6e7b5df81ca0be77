CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    former_sealed TEXT,
    former_until BIGINT,
    gone_at BIGINT,
    queued BIGINT NOT NULL,
    version BIGINT NOT NULL,
    last_success_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX webhooks_by_time ON webhooks (created_at, id);

CREATE TABLE deliveries (
    webhook TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_seq BIGINT NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    room TEXT NOT NULL,
    state TEXT NOT NULL,
    tries BIGINT NOT NULL,
    since BIGINT,
    soon BIGINT NOT NULL,
    later BIGINT NOT NULL,
    next_at BIGINT,
    probe BIGINT NOT NULL,
    aside BIGINT NOT NULL,
    tried_at BIGINT,
    duration_ms BIGINT,
    failover BIGINT,
    status BIGINT,
    answer TEXT,
    error TEXT,
    settled_at BIGINT,
    PRIMARY KEY (webhook, event_seq)
);
CREATE INDEX deliveries_by_state ON deliveries (webhook, state, event_seq);
CREATE INDEX deliveries_by_event ON deliveries (event_seq);
CREATE INDEX deliveries_open ON deliveries (webhook, event_seq) WHERE settled_at IS NULL;
