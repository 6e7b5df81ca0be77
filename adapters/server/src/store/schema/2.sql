-- Nothing has written to it yet.
DROP TABLE audit;
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    participant TEXT,
    request_id TEXT NOT NULL,
    result TEXT NOT NULL,
    count BIGINT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_actor ON audit (actor, at, id);
CREATE INDEX audit_by_action ON audit (action, at, id);
CREATE INDEX audit_by_target ON audit (target, at, id);
CREATE INDEX audit_by_participant ON audit (participant, at, id);

CREATE TABLE erasures (
    id TEXT PRIMARY KEY,
    participant TEXT,
    pseudonym TEXT NOT NULL,
    rooms TEXT NOT NULL,
    newest BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX erasures_by_time ON erasures (created_at, id);

ALTER TABLE sessions ADD COLUMN newest_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN started_up BIGINT;
ALTER TABLE participants ADD COLUMN joined_up BIGINT;
