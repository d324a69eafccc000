"""What tuning did besides moving the score, and what a changed trait caused."""
