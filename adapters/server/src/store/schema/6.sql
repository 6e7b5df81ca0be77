CREATE TABLE admins (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE logins (
    hash TEXT PRIMARY KEY,
    admin TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX logins_by_admin ON logins (admin);
CREATE INDEX logins_by_expiry ON logins (expires_at);
