export type LevelName = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

export interface LogRecord {
  time: string;
  message: string;
  observed: string;
  cursor: string;
  level?: LevelName | null;
  trace_id?: string | null;
  fields?: Record<string, unknown>;
  [label: string]: unknown;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  position?: number | null;
  cure?: string | null;
}

export interface SearchStats {
  matched: number;
  scanned_records: number;
  scanned_bytes: number;
  took_ms: number;
}

export interface Page {
  records: LogRecord[];
  next: string | null;
  stats: SearchStats;
  complete: boolean;
}

export interface Gap {
  from: string | null;
  to: string;
  count: number | null;
  why: string;
}

export interface Ping {
  checkpoint: string;
  lag_ms: number;
  in: number;
  matched: number;
}
