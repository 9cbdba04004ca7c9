"""SQL of backups: tables of either engine row by row, the backup file, data keys, and opening again."""
