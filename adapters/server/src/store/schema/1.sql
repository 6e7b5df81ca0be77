CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    former_sealed TEXT,
    former_until BIGINT,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE rooms (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    settings TEXT NOT NULL,
    auto_created BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX rooms_by_time ON rooms (created_at, name);
CREATE INDEX rooms_by_state ON rooms (state, created_at, name);

CREATE TABLE bans (
    room TEXT NOT NULL,
    participant TEXT NOT NULL,
    until BIGINT,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (room, participant)
);

CREATE TABLE marks (
    room TEXT NOT NULL,
    participant TEXT NOT NULL,
    issued_before BIGINT NOT NULL,
    PRIMARY KEY (room, participant)
);

CREATE TABLE refresh_tokens (
    hash TEXT PRIMARY KEY,
    room TEXT NOT NULL,
    participant TEXT NOT NULL,
    claims TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    room TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT,
    present BIGINT NOT NULL,
    peak BIGINT NOT NULL,
    uniques BIGINT NOT NULL,
    events BIGINT NOT NULL
);
CREATE INDEX sessions_by_time ON sessions (started_at, id);
CREATE INDEX sessions_by_room ON sessions (room, started_at, id);
CREATE INDEX sessions_by_end ON sessions (ended_at, id);

CREATE TABLE participants (
    session TEXT NOT NULL,
    participant TEXT NOT NULL,
    room TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    grants TEXT NOT NULL,
    censored BIGINT NOT NULL,
    attributes TEXT NOT NULL,
    path TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    left_at BIGINT,
    PRIMARY KEY (session, participant)
);
CREATE INDEX participants_by_time ON participants (joined_at, session, participant);
CREATE INDEX participants_by_room ON participants (room, joined_at, session, participant);
CREATE INDEX participants_by_id ON participants (participant, joined_at, session);
CREATE INDEX participants_by_name ON participants (name, joined_at, session, participant);
CREATE INDEX participants_by_state ON participants (state, joined_at, session, participant);
CREATE INDEX participants_by_left ON participants (left_at);

CREATE TABLE stays (
    session TEXT NOT NULL,
    participant TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    left_at BIGINT,
    reason TEXT,
    PRIMARY KEY (session, participant, joined_at)
);

CREATE TABLE streams (
    session TEXT NOT NULL,
    participant TEXT NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    codec TEXT NOT NULL,
    muted BIGINT NOT NULL,
    published_at BIGINT NOT NULL,
    unpublished_at BIGINT,
    PRIMARY KEY (session, participant, stream, published_at)
);

CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    type TEXT NOT NULL,
    room TEXT,
    session TEXT,
    session_seq BIGINT,
    participant TEXT,
    data TEXT NOT NULL
);
CREATE INDEX events_by_room ON events (room, seq);
CREATE INDEX events_by_session ON events (session, seq);
CREATE INDEX events_by_type ON events (type, seq);
CREATE INDEX events_by_time ON events (at);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    request_id TEXT NOT NULL,
    result BIGINT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE idempotency (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    path TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    status BIGINT NOT NULL,
    answer TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_by_time ON idempotency (at);
